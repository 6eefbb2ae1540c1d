"""`talon serve`: everything in the foreground."""

import typer

from anvil.errors import AnvilError
from talon.cli.say import say
from talon.logging import configure
from talon.postgres import PostgresError
from talon.processes import ChildKeepsDying
from talon.settings import Settings, SettingsError
from talon.supervisor import Supervisor, SupervisorError
from talon.token import TokenError


def serve() -> None:
    """Run until Ctrl-C (status 0), or until it cannot go on (status 1 and a line that says why)."""
    try:
        settings = Settings.from_environment()
        configure(settings.log_level)
        Supervisor(settings, say).run()
    except (SettingsError, SupervisorError, ChildKeepsDying, PostgresError, TokenError, AnvilError) as error:
        say(f"talon stopped: {error}")
        raise typer.Exit(1) from None
