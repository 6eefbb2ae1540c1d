"""The program's entry: `python -m talon.main serve`."""

import argparse
import sys

from anvil.errors import AnvilError
from talon.logging import configure
from talon.postgres import PostgresError
from talon.processes import ChildKeepsDying
from talon.settings import Settings, SettingsError
from talon.supervisor import Supervisor, SupervisorError
from talon.token import TokenError


def say(line: str) -> None:
    """A line for the operator, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run in the foreground until SIGINT or SIGTERM (status 0), or until it cannot go on (status 1)."""
    parser = argparse.ArgumentParser(prog="talon")
    parser.add_argument("command", choices=["serve"])
    parser.parse_args()
    try:
        settings = Settings.from_environment()
        configure(settings.log_level)
        Supervisor(settings, say).run()
    except (SettingsError, SupervisorError, ChildKeepsDying, PostgresError, TokenError, AnvilError) as error:
        say(f"talon stopped: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
