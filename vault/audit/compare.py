"""What the verification asks of whoever knows what signatures are for; wired in `talon.app`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from vault.audit.schemas import DisplacedResponse, UnaccountedResponse
from vault.db import Database


@dataclass(frozen=True)
class Comparison:
    """What stood out, oldest first; None where nothing did. `next_sequence` is where the next part begins."""

    displaced: list[DisplacedResponse] | None
    unaccounted: list[UnaccountedResponse] | None
    next_sequence: int | None


Compare: TypeAlias = Callable[[Database, UUID, int], Awaitable[Comparison]]
"""Compares an organisation's signatures from a sequence on."""
