"""The `talon` command: a small script in .venv/bin that works from any directory."""

from talon.bootstrap.places import VENV

# A script of the usual kind names its interpreter on its first line, which cannot hold a space. -P: a folder named
# `talon` or `signer` where somebody happens to stand is none of ours. The state is this checkout's, wherever that is.
SCRIPT = """\
#!/bin/sh
bin=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$bin")")
: "${TALON_HOME:=$root/.talon}"
export TALON_HOME
PYTHONPATH="$root" exec "$bin/python" -P -m talon.cli "$@"
"""


def write_launcher() -> None:
    """Put it there, whole or not at all."""
    place = VENV / "bin" / "talon"
    fresh = place.with_name(".talon.new")
    fresh.write_text(SCRIPT)
    fresh.chmod(0o755)
    fresh.rename(place)
