"""The command line's table of contents."""

import typer

from talon.cli.admin import admin
from talon.cli.backup import backup
from talon.cli.doctor import doctor
from talon.cli.restore import restore
from talon.cli.serve import serve
from talon.cli.stop import stop

app = typer.Typer(
    name="talon",
    no_args_is_help=True,
    add_completion=False,
    # a traceback with local variables would print passwords
    pretty_exceptions_show_locals=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(stop)
app.command()(doctor)
app.add_typer(admin, name="admin")
app.command()(backup)
app.command()(restore)


@app.callback()
def commands() -> None:
    """A vault and transaction engine for AI agents. Settings are TALON_* variables, see README.md."""


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="talon")
