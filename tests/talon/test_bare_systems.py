"""The README's two commands on a Debian with next to nothing on it."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from talon.bootstrap import SetupError
from tests.support import bare
from tests.support.checkout import megabytes
from tests.support.pace import patient
from tests.support.report import LINES

SUITES = {"Debian 12": "bookworm", "Debian 13": "trixie"}
MOST_MEGABYTES = 300
MOST_CPU_SECONDS = 40


@pytest.fixture(scope="module", params=SUITES)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a system, and where it lies."""
    name = request.param
    if os.environ.get("TALON_SOAK") != "1":
        pytest.skip("minutes long: in make soak")
    if os.geteuid() != 0:
        LINES.append(f"bare {name}: not run, because only root can make and enter such a system")
        pytest.skip("only root can make and enter such a system")
    place = tmp_path_factory.mktemp(SUITES[name]) / "system"
    try:
        took = bare.build(SUITES[name], place)
    except SetupError as error:
        LINES.append(f"bare {name}: not run, because it cannot be made here: {error}")
        pytest.skip("it cannot be made here")
    LINES.append(f"bare {name}: made in {took:.0f} s, {megabytes(place)} MB")
    return name, place


@pytest.mark.soak
@pytest.mark.parametrize(
    "who",
    [bare.ROOT_USER, bare.ORDINARY, bare.IN_A_CONTAINER, bare.CHROOTED, bare.NOBODY_KNOWN],
    ids=lambda who: who.name,
)
def test_the_demo_runs(system: tuple[str, Path], who: bare.Who, tmp_path: Path) -> None:
    name, original = system
    place = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(original), str(place)], check=True)
    bare.check_out(place, who)
    before, began = os.times(), time.monotonic()
    status, said = bare.play_inside(place, who, ["make", "demo"])
    wall = time.monotonic() - began
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    assert status == 0, said
    assert "All of it happened" in said
    checkout = place / who.checkout.lstrip("/")
    # the library itself lies in the system, where root installs it
    size = megabytes(checkout, *place.glob("usr/lib/*/softhsm"))
    steps = "; ".join(re.findall(r"(?:done in|Ready at \S+ after|is stopped again \() ?([\d.]+ s)", said))
    LINES.append(f"bare {name}, {who.name}: {wall:.0f} s with downloads ({steps}), {processor:.0f} s CPU, {size} MB")
    assert size < MOST_MEGABYTES
    # beyond the downloads it is the processor that takes the time; what waits for a line is not ours
    assert processor < patient(MOST_CPU_SECONDS)
    # neither Node nor a compiler came
    assert not [found for tool in ("node", "npm", "gcc", "solc") for found in place.glob(f"usr/bin/{tool}")]
    assert not (checkout / "node_modules" / "solc").exists()
    # and the second time there is nothing to do
    assert bare.play_inside(place, who, ["make", "setup"]) == (0, "")
    assert bare.play_inside(place, who, [".venv/bin/talon", "--help"])[0] == 0
