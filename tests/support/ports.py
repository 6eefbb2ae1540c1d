"""Free ports for tests."""

from talon.ports import free_ports

__all__ = ["free_port", "free_ports"]


def free_port() -> int:
    """A port that was free a moment ago."""
    return free_ports(1)[0]
