"""What scopes mean [pure].

An entry with a colon (`vault:read`) is a label that some clients set; every other entry is a path pattern.
"""

from collections.abc import Sequence

EVERYTHING = "**"


def path_scopes(scopes: Sequence[str]) -> tuple[str, ...] | None:
    """The path patterns that narrow a credential; None when nothing narrows it (no patterns, or `**`)."""
    patterns = tuple(scope for scope in scopes if ":" not in scope)
    if not patterns or EVERYTHING in patterns:
        return None
    return patterns
