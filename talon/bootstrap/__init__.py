"""The set-up: everything that demo, server and tests need, installed by itself; quick when there is nothing to do.

Run by the Makefile as `python3 -m talon.bootstrap` with whatever Python there is, so: standard library only. All
goes into this checkout (.venv, node_modules, .tools); only Debian packages, and only as root, go into the system.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one learns it
    # before the imports below, whose syntax an older Python does not know
    sys.exit(
        f"set-up: Talon needs Python 3.11 or newer, this is {sys.version_info[0]}.{sys.version_info[1]}:"
        " name another, like make PYTHON=python3.12 demo"
    )

from talon.bootstrap.places import PACKAGES, ROOT, TOOLS, VENV
from talon.bootstrap.softhsm import find_softhsm
from talon.bootstrap.steps import SetupError, one_at_a_time, run, succeeds

__all__ = ["PACKAGES", "ROOT", "TOOLS", "VENV", "SetupError", "find_softhsm", "one_at_a_time", "run", "succeeds"]
