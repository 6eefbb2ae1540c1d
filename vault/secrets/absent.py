"""The answers for what is not there (404) and what is not there any more (410)."""

from vault.errors import Problem, gone, not_found


def missing(path: str, version: int | None = None) -> Problem:
    """404: nothing was ever stored there."""
    return not_found(f"No secret at {path}" if version is None else f"The secret at {path} has no version {version}")


def deleted(path: str, version: int | None = None) -> Problem:
    """410: deleted; storing something again revives the path with the next version."""
    return gone(f"{_named(path, version)} was deleted")


def disabled(path: str, version: int | None = None) -> Problem:
    """410: the version that was asked for, or every one there is."""
    if version is None:
        return gone(f"Every version of the secret at {path} is disabled")
    return gone(f"{_named(path, version)} is disabled")


def expired(path: str, version: int | None = None) -> Problem:
    """410: past its `expires_at`."""
    return gone(f"{_named(path, version)} has expired")


def used_up(path: str, version: int | None = None) -> Problem:
    """410: read `max_access_count` times."""
    return gone(f"{_named(path, version)} has been read as often as it may be")


def _named(path: str, version: int | None) -> str:
    return f"The secret at {path}" if version is None else f"Version {version} of the secret at {path}"
