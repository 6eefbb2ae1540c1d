"""Every Python on this machine that Talon should run on."""

import os
import subprocess
from pathlib import Path

# Debian 12 and 13 have the first and the last
VERSIONS = ("3.11", "3.12", "3.13")


def interpreters() -> dict[str, Path]:
    """By version, the first one found that runs; which are missing follows from VERSIONS."""
    found: dict[str, Path] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        places = [Path(directory, f"python{version}") for directory in ("/usr/bin", "/usr/local/bin")]
        places += sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True)
        for place in places:
            if place.exists() and _runs(place, version):
                found[version] = place
                break
    return found


def _runs(python: Path, version: str) -> bool:
    ask = [str(python), "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(ask, capture_output=True, text=True, timeout=30, check=False).stdout.strip() == version
