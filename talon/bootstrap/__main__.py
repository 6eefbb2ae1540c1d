"""`python3 -m talon.bootstrap [production|test] [--exactly]`: bring the checkout up to date."""

import os
import shutil
import sys
import time
from pathlib import Path

from talon.bootstrap import authorities, npm
from talon.bootstrap.current import PRODUCTION, REQUIREMENTS, TEST, choose, forget, installed, is_current, remember
from talon.bootstrap.launcher import write_launcher
from talon.bootstrap.places import NODE_MODULES, PACKAGES, ROOT, TOOLS, VENV
from talon.bootstrap.python import SETUP_VENV, install_packages, make_setup_tools, pip_settings
from talon.bootstrap.readable import make_readable
from talon.bootstrap.softhsm import find_softhsm, unpack_softhsm
from talon.bootstrap.steps import SetupError, explain, one_at_a_time, say
from talon.bootstrap.system import install_system_packages


def main(arguments: list[str]) -> int:
    """0 when the set is installed; 1 and a plain message when that is not possible."""
    asked = TEST if TEST in arguments else PRODUCTION
    exactly = "--exactly" in arguments
    # whoever starts no local chain need not fetch one
    chain = asked == TEST or os.environ.get("TALON_ANVIL_PORT") != "0"
    # what is made here is for all uids that the processes run under
    os.umask(0o022)
    try:
        wanted = choose(asked, exactly)
        if is_current(wanted, chain):
            return 0
        with one_at_a_time():
            wanted = choose(asked, exactly)
            if not is_current(wanted, chain):
                set_up(wanted, chain or wanted == TEST)
    except SetupError as error:
        sys.stderr.write(f"set-up: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"set-up: {explain(error)}\n")
        return 1
    return 0


def set_up(wanted: str, chain: bool) -> None:
    """All steps; each says in one line what it does."""
    began = time.monotonic()
    (TOOLS / "home").mkdir(parents=True, exist_ok=True)
    forget()
    # 1. What only the system has.
    believed = authorities.for_tools(authorities.bundle())
    install_system_packages(believed)
    if not find_softhsm():
        unpack_softhsm()
    # 2. Tools, and what pip's files say on registries and certificates.
    make_setup_tools(believed)
    settings = pip_settings()
    bundle = authorities.bundle([Path(settings["cert"])] if Path(settings.get("cert", "/nowhere")).is_file() else [])
    # 3. Python's packages, then npm's.
    if wanted == PRODUCTION and installed() == TEST:
        # uv would not take itself out
        shutil.rmtree(VENV, ignore_errors=True)
    install_packages(REQUIREMENTS[wanted], authorities.for_tools(bundle), settings)
    if chain:
        npm.install(wanted == TEST, bundle)
    write_launcher()
    if os.geteuid() == 0:
        make_readable([VENV, NODE_MODULES, *(ROOT / package for package in PACKAGES)])
    if wanted == PRODUCTION:
        # 60 MB that running does not need; a developer's next set-up is quicker with them
        shutil.rmtree(SETUP_VENV, ignore_errors=True)
        shutil.rmtree(TOOLS / "home", ignore_errors=True)
    remember(wanted, chain)
    say(f"{wanted} set: done in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
