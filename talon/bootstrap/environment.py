"""What the tools of the set-up inherit: the caller's environment, less what would lead them astray."""

import os
from collections.abc import Mapping
from pathlib import Path

from talon.bootstrap.places import TOOLS, VENV

# a virtual environment that happens to be active is not the one we fill, and bytecode is made here on purpose
ASTRAY = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PIP_REQUIRE_VIRTUALENV", "PIP_USER")

# may hold passwords, and none of them is a tool's business: apt's run under another uid
OURS = "TALON_"


def inherited(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a step (pure but for a look at HOME)."""
    given = os.environ if environment is None else environment
    own = {name: value for name, value in given.items() if name not in ASTRAY and not name.startswith(OURS)}
    own["VIRTUAL_ENV"] = str(VENV)
    home = own.get("HOME", "")
    if not (home and Path(home).is_dir() and os.access(home, os.W_OK)):
        # pip and uv keep their caches below it
        own["HOME"] = str(TOOLS / "home")
    return own
