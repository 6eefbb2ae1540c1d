"""The set-up: everything that demo, tests and server need, installed by itself; quick when there is nothing to do.

Run by the Makefile as `python3 -m talon.bootstrap` with whatever Python there is, so: standard library only. All
goes into this checkout (.venv, node_modules, .tools); only Debian packages, and only as root, go into the system.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
STAMP = TOOLS / "stamp"
INPUTS = (
    "requirements.txt",
    "requirements-test.txt",
    "requirements-uv.txt",
    "package.json",
    "package-lock.json",
    "talon/bootstrap.py",
)

PACKAGES = ("talon", "intents", "vault", "signer", "guardrails", "chains", "anvil")

OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 18
STEP_TIMEOUT_S = 900
APT = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]

SOFTHSM_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


class SetupError(Exception):
    """Something is missing that cannot be installed from here; the text says what to do."""


def main() -> int:
    """Bring the checkout up to date; 1 and a plain message when that is not possible."""
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise SetupError(
                f"Talon needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer: make PYTHON=python3.12 …"
            )
        if is_current():
            return 0
        with one_at_a_time():
            if not is_current():
                set_up()
    except SetupError as error:
        sys.stderr.write(f"set-up: {error}\n")
        return 1
    return 0


def is_current() -> bool:
    """Whether the last set-up still holds: same inputs, and its results are still there."""
    there = (VENV / "bin" / "python").exists() and (ROOT / "node_modules" / "solc").is_dir() and find_softhsm()
    return bool(there) and STAMP.exists() and STAMP.read_text() == fingerprint()


def fingerprint() -> str:
    """What the results depend on."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {sys.platform} {ROOT}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def set_up() -> None:
    """All steps; each says in one line what it does."""
    began = time.monotonic()
    install_system_packages()
    if not find_softhsm():
        unpack_softhsm()
    make_venv()
    say("installing the Python packages (hash-pinned)")
    pip = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
        "--quiet",
    ]
    run([*pip, "--require-hashes", "-r", "requirements-uv.txt"])
    # compiled now, because the processes that run under other uids cannot write here
    run(
        [
            str(VENV / "bin" / "uv"),
            "pip",
            "sync",
            "--quiet",
            "--compile-bytecode",
            "--require-hashes",
            "requirements-test.txt",
        ]
    )
    run([str(VENV / "bin" / "python"), "-m", "compileall", "-q", *PACKAGES])
    say("installing the local chain and the contract compiler (npm ci)")
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
    STAMP.write_text(fingerprint())
    say(f"done in {time.monotonic() - began:.0f} s")


def install_system_packages() -> None:
    """What only the system can give: SoftHSM2, Node with npm, the venv module. SetupError if we may not."""
    missing = [] if find_softhsm() else ["softhsm2"]
    if importlib.util.find_spec("ensurepip") is None and not (VENV / "bin" / "python").exists():
        # Debian splits it off; the package of that version fits the interpreter that runs us
        missing.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing += ["nodejs", "npm"]
    elif node_version() < OLDEST_NODE:
        raise SetupError(f"Node {OLDEST_NODE} or newer is needed, found {node_version()}: see https://nodejs.org")
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing Debian packages: {' '.join(missing)}")
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        install = [*APT, "install", "--yes", "--quiet", "--no-install-recommends", *missing]
        if not succeeds(install, environment):
            run([*APT, "update", "--quiet"], environment)
            run(install, environment)
    elif others := [name for name in missing if name != "softhsm2"]:
        raise SetupError(f"please install {' '.join(others)} (Debian: sudo apt-get install {' '.join(missing)})")


def node_version() -> int:
    """Node's major version; 0 when it does not say."""
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.match(r"v(\d+)", said)
    return int(found[1]) if found else 0


def find_softhsm() -> str | None:
    """Where the SoftHSM2 library is: what we unpacked ourselves, else the system's."""
    own = sorted(str(path) for path in TOOLS.glob("usr/lib/*/softhsm/libsofthsm2.so"))
    return next((place for place in (*own, *SOFTHSM_PLACES) if Path(place).exists()), None)


def unpack_softhsm() -> None:
    """Without root: download Debian's package and unpack it here. SetupError where there is no Debian."""
    hint = "please install SoftHSM2 (Debian: sudo apt-get install softhsm2; Fedora: sudo dnf install softhsm)"
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SetupError(hint)
    say("unpacking SoftHSM2 into .tools (not root, so nothing is installed)")
    archive = TOOLS / "deb"
    archive.mkdir(parents=True, exist_ok=True)
    if not succeeds(["apt-get", "download", "--quiet", "libsofthsm2"], directory=archive):
        raise SetupError(hint)
    for package in archive.glob("libsofthsm2_*.deb"):
        run(["dpkg-deb", "-x", str(package), str(TOOLS)])
    if not find_softhsm():
        raise SetupError(hint)


def make_venv() -> None:
    """A virtual environment of this checkout; remade when its interpreter is gone or of another version."""
    python = VENV / "bin" / "python"
    if python.exists():
        ask = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
        said = subprocess.run(ask, capture_output=True, text=True, timeout=30, check=False)
        has_pip = succeeds([str(python), "-c", "import pip"])
        if said.stdout.split() == [str(part) for part in sys.version_info[:2]] and has_pip:
            return
        shutil.rmtree(VENV)
    say(f"making .venv with Python {sys.version_info.major}.{sys.version_info.minor}")
    run([sys.executable, "-m", "venv", str(VENV)])


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two makes in one checkout wait for each other."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as file:
        deadline = time.monotonic() + STEP_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupError("another set-up runs in this checkout and does not end") from None
                time.sleep(0.2)
        yield


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a step; SetupError with the end of what it said when it fails."""
    done = attempt(command, environment or {}, ROOT)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-1500:]
        raise SetupError(f"this failed: {' '.join(command)}\n{said}")


def succeeds(command: list[str], environment: dict[str, str] | None = None, directory: Path = ROOT) -> bool:
    """Run a step that may fail."""
    return attempt(command, environment or {}, directory).returncode == 0


def attempt(command: list[str], environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a step to its end, in bounded time."""
    # a virtual environment that happens to be active is not the one we fill
    own = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    own |= {"VIRTUAL_ENV": str(VENV)} | environment
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env=own,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"{type(error).__name__}: {error}")


def say(line: str) -> None:
    """Progress, at once."""
    sys.stderr.write(f"set-up: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
