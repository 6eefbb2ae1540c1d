"""`talon admin …`: what only somebody on the host may do."""

import typer

from talon.cli.accept_clock import accept_clock
from talon.cli.change_email import change_email
from talon.cli.reset_password import reset_password

admin = typer.Typer(no_args_is_help=True, help="What only somebody on the host may do.")
admin.command()(accept_clock)
admin.command()(reset_password)
admin.command()(change_email)


@admin.callback()
def commands() -> None:
    """What only somebody on the host may do; all of it is audited."""
