"""`python -m talon.cli`, the same as `talon`."""

from talon.cli.main import main

main()
