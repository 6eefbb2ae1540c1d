"""The `talon` command: one file a subcommand, registered in `talon.cli.main`."""
