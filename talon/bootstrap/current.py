"""Whether there is anything to do: the last set-up's stamp, and a look whether its results are still there."""

import hashlib
import json
import sys

from talon.bootstrap.places import NODE_MODULES, ROOT, TOOLS, VENV
from talon.bootstrap.softhsm import find_softhsm

STAMP = TOOLS / "stamp"
INPUTS = ("requirements.txt", "requirements-test.txt", "requirements-setup.txt", "package-lock.json")
PRODUCTION, TEST = "production", "test"
REQUIREMENTS = {PRODUCTION: "requirements.txt", TEST: "requirements-test.txt"}


def installed() -> str | None:
    """The set that was installed last, of whatever state of the sources."""
    try:
        said = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    found = said.get("set") if isinstance(said, dict) else None
    return found if found in REQUIREMENTS else None


def choose(asked: str, exactly: bool) -> str:
    """The set to install: who has the tests' set keeps it, unless told otherwise."""
    return asked if exactly or installed() != TEST else TEST


def is_current(wanted: str, chain: bool) -> bool:
    """Whether this set is installed as the sources want it now."""
    try:
        said = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    if said != stamp(wanted, chain) and said != stamp(wanted, chain=True):
        return False
    there = [VENV / "bin" / "python", VENV / "bin" / "talon"]
    if said["chain"]:
        there.append(NODE_MODULES / "@foundry-rs")
    if wanted == TEST:
        there.append(NODE_MODULES / "solc")
    return all(place.exists() for place in there) and find_softhsm() is not None


def stamp(wanted: str, chain: bool) -> dict[str, object]:
    """What the results depend on."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {sys.platform} {ROOT}".encode("utf-8", "surrogateescape"))
    own = sorted((ROOT / "talon" / "bootstrap").glob("*.py"))
    for path in (*(ROOT / name for name in INPUTS), *own):
        digest.update(path.read_bytes())
    return {"set": wanted, "chain": chain, "inputs": digest.hexdigest()}


def forget() -> None:
    """A set-up begins: until it is complete, what is there is of this kind at most."""
    if (found := installed()) is not None:
        _write({"set": found, "chain": False, "inputs": "in the making"})


def remember(wanted: str, chain: bool) -> None:
    """The set-up is complete."""
    _write(stamp(wanted, chain))


def _write(said: dict[str, object]) -> None:
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps(said))
    fresh.rename(STAMP)
