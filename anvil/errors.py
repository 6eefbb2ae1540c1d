"""What can go wrong with the local chain."""


class AnvilError(Exception):
    """anvil is missing, does not start, or refuses a call; the text says what to do."""
