"""The demo with every interpreter that is here, in places and under settings that programs trip over."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import copy_sources, megabytes, play
from tests.support.interpreters import VERSIONS, interpreters
from tests.support.report import LINES

SOAK = os.environ.get("TALON_SOAK") == "1"
MOST_MEGABYTES = 300
RUNNING = "{}.{}".format(*sys.version_info[:2])
# a space, an umlaut, what a shell takes for something else, and more than 150 characters
ODD = "Ein Ort mit Leerzeichen, Ümläuten & 'Zeichen' " + "lang" * 30


def to_try() -> list[str]:
    """In make test the newest other one, in make soak all."""
    found = list(interpreters())
    others = [version for version in found if version != RUNNING]
    return found if SOAK else (others or found)[-1:]


@pytest.fixture(scope="module", autouse=True)
def say_which() -> Iterator[None]:
    """Name those that are missing."""
    yield
    missing = [version for version in VERSIONS if version not in interpreters()]
    said = f"demo run with Python {', '.join(to_try()) or 'none'}"
    LINES.append(f"{said}; not tried, because not here: {', '.join(missing)}" if missing else said)


@pytest.mark.parametrize("version", to_try())
def test_the_demo_runs_in_an_odd_place(version: str, tmp_path: Path) -> None:
    place = tmp_path / ODD / "talon"
    copy_sources(place)
    # checked out under a umask of 077
    for path in (place, *place.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    (place / ".talon").mkdir()
    # no HOME, the locale C; pip's and uv's caches are then below the checkout
    odd = {"LC_ALL": "C", "TMPDIR": str(place / ".talon")}
    status, said = play(["make", "demo", f"PYTHON={interpreters()[version]}"], place, odd, umask=0o077)
    assert status == 0, said
    assert "All of it happened" in said
    LINES.append(f"Python {version} in an odd place: {said.strip().splitlines()[-1]} {megabytes(place)} MB")
    # the command works from anywhere, also where folders have the names of our packages
    elsewhere = tmp_path / "elsewhere"
    for package in ("talon", "signer"):
        (elsewhere / package).mkdir(parents=True)
        (elsewhere / package / "__init__.py").write_text("raise SystemExit('the wrong one')")
    status, said = play([str(place / ".venv" / "bin" / "talon"), "--help"], elsewhere, odd)
    assert status == 0, said
    assert "Usage: talon" in said
    shutil.rmtree(place)


@pytest.mark.soak
@pytest.mark.skipif(not SOAK, reason="minutes long: in make soak")
def test_a_checkout_goes_from_what_runs_to_what_tests_need_and_back(tmp_path: Path) -> None:
    place = tmp_path / "talon"
    copy_sources(place)
    python = interpreters()[RUNNING]
    with_home = {"HOME": str(tmp_path)}
    has_pytest = [str(place / ".venv" / "bin" / "python"), "-c", "import pytest"]
    compiler = place / "node_modules" / "solc"
    for arguments, tests in (([], False), (["SET=test"], True), ([], True), (["SET=production"], False)):
        status, said = play(["make", "setup", f"PYTHON={python}", *arguments], place, with_home)
        assert status == 0, said
        assert (subprocess.run(has_pytest, capture_output=True, check=False).returncode == 0) == tests
        assert compiler.exists() == tests
        assert tests or megabytes(place) < MOST_MEGABYTES
        LINES.append(f"make setup {' '.join(arguments)}: {megabytes(place)} MB")
