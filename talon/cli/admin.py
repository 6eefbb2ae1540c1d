"""`talon admin …`: what only somebody on the host may do."""

import typer

from talon.cli.accept_clock import accept_clock

admin = typer.Typer(no_args_is_help=True, help="What only somebody on the host may do.")
admin.command()(accept_clock)


@admin.callback()
def commands() -> None:
    """What only somebody on the host may do; all of it is audited."""
