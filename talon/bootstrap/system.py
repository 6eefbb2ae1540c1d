"""What only the system can give: SoftHSM2, and where Debian splits it off, Python's module for environments."""

import importlib.util
import os
import shutil
import sys

from talon.bootstrap.softhsm import find_softhsm
from talon.bootstrap.steps import SetupError, run, say, succeeds

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=120"]


def install_system_packages(authorities: dict[str, str]) -> None:
    """Install them where we may; SetupError names what somebody else has to install."""
    if sys.platform != "linux":
        raise SetupError("Talon runs on Linux only: use a Linux machine, a virtual one or a container")
    missing = [] if find_softhsm() else ["libsofthsm2"]
    if importlib.util.find_spec("ensurepip") is None:
        # the package of that version fits the interpreter that runs us
        missing.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing Debian packages: {' '.join(missing)}")
        environment = {"DEBIAN_FRONTEND": "noninteractive", **authorities}
        install = [*APT, "install", "--yes", "--quiet", "--no-install-recommends", *missing]
        if not succeeds(install, environment):
            run([*APT, "update", "--quiet"], environment)
            run(install, environment)
    elif others := [name for name in missing if name != "libsofthsm2"]:
        raise SetupError(f"please install {' '.join(others)} (Debian: sudo apt-get install {' '.join(missing)})")
