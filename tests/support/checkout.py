"""A copy of this checkout somewhere else, and the demo in it with nothing but what the network needs."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from talon.bootstrap import ROOT, run
from talon.bootstrap.authorities import VARIABLES

DEMO_TIMEOUT_S = 1500
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
REGISTRIES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "NPM_CONFIG_REGISTRY")


def copy_sources(target: Path) -> None:
    """The sources as they are now, what is not committed included, and nothing that was installed."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).split("\0")
    for name in listed:
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def told() -> dict[str, str]:
    """What this machine is told of its network."""
    names = [name for name in os.environ if name in (*REGISTRIES, *VARIABLES) or name.lower() in PROXIES]
    return {name: os.environ[name] for name in names}


def play(command: list[str], directory: Path, environment: dict[str, str], umask: int = 0o022) -> tuple[int, str]:
    """Run a command there to its end; status, and output and errors together. Nothing of it stays behind."""
    with subprocess.Popen(
        command,
        cwd=directory,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **told(), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        umask=umask,
    ) as process:
        try:
            said, _ = process.communicate(timeout=DEMO_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, said


def megabytes(*places: Path) -> int:
    """What lies in these directories takes on the disk; a file with several names counts once."""
    existing = [str(place) for place in places if place.exists()]
    return int(run(["du", "--summarize", "--total", "--block-size=1M", *existing]).split()[-2])
