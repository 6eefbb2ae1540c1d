"""How an audit event is sealed into its organisation's hash chain. Pure: worker, signer, server and auditor run this.

An event's hash covers all of its columns, its position and the hash before it, so no event can be changed, moved,
exchanged or left out without changing every hash after it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

DOMAIN: Final = "talon/audit-event/v1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Event:
    """An audit event, every column of it."""

    id: UUID
    sequence: int
    org_id: UUID
    actor_type: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    details: Mapping[str, Any]
    ip_address: str | None
    created_at: datetime


@dataclass(frozen=True)
class Seal:
    """An event's place in the chain; positions count from 1."""

    position: int
    event_id: UUID
    prev_event_id: UUID | None
    integrity_hash: str


def event_of(columns: Mapping[str, Any]) -> Event:
    """An event from a row that has (at least) its columns."""
    return Event(**{name: columns[name] for name in Event.__dataclass_fields__})


def microseconds(moment: datetime) -> int:
    """Since 1970 in UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(microseconds_: int) -> datetime:
    """The inverse of `microseconds`."""
    return _EPOCH + microseconds_ * _MICROSECOND


def hash_of(event: Event, position: int, previous: str | None) -> str:
    """SHA-256 in hex over one canonical JSON array: no two different events have the same encoding."""
    encoded = json.dumps(
        [
            *(DOMAIN, position, previous, str(event.id), event.sequence, str(event.org_id)),
            *(event.actor_type, event.actor_id, event.action, event.resource_type, event.resource_id),
            *(event.details, event.ip_address, microseconds(event.created_at)),
        ],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        # a number beyond a float must not stop the sequencer
        allow_nan=True,
    )
    return hashlib.sha256(encoded.encode()).hexdigest()


def seal(event: Event, last: Seal | None) -> Seal:
    """The event's seal, next after `last`."""
    position, previous = (1, None) if last is None else (last.position + 1, last.integrity_hash)
    return Seal(position, event.id, last.event_id if last else None, hash_of(event, position, previous))


@dataclass(frozen=True)
class Walked:
    """What a stretch of a chain showed: where it ends, how many seals do not fit, and whether a position is missing.

    `proven` is the newest seal that fits its event and what lies before it.
    """

    last: Seal | None
    proven: Seal | None
    faults: int
    has_hole: bool


def walk(org_id: UUID, last: Seal | None, found: Iterable[tuple[Seal, Event | None]]) -> Walked:
    """Go along the seals behind `last`, in their order, and recompute each; stops before a position that is missing.

    Goes on from what a false seal says, as verification does, so that one false seal spoils nothing behind it.
    """
    proven, faults = None, 0
    for each, event in found:
        if each.position != (1 if last is None else last.position + 1):
            return Walked(last, proven, faults, has_hole=True)
        is_its_own = event is not None and event.id == each.event_id and event.org_id == org_id
        if event is not None and is_its_own and seal(event, last) == each:
            proven = each
        else:
            faults += 1
        last = each
    return Walked(last, proven, faults, has_hole=False)
