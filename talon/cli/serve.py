"""`talon serve`: everything in the foreground."""

import typer

from talon.cli.outcome import FOR_PEOPLE
from talon.cli.say import say
from talon.logging import configure
from talon.settings import Settings
from talon.supervisor import Supervisor, SupervisorError
from talon.tend import ChildKeepsDying


def serve() -> None:
    """Run until Ctrl-C (status 0), or until it cannot go on (status 1 and a line that says why)."""
    try:
        settings = Settings.from_environment()
        for name in Settings.unread():
            say(f"warning: {name} is no variable of Talon's; nobody reads it")
        configure(settings.log_level)
        Supervisor(settings, say).run()
    except (*FOR_PEOPLE, SupervisorError, ChildKeepsDying) as error:
        say(f"talon stopped: {error}")
        raise typer.Exit(1) from None
