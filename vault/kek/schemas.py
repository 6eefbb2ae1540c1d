"""Wire forms of key rotations."""

from typing import Any, Literal
from uuid import UUID

from vault.schemas import Reply, Timestamp


class KeyRotationResponse(Reply):
    """A rotation: `processed` values are under the new key, `failed` could not be opened and stay as they are."""

    id: UUID
    vault_id: UUID
    key_version: int
    status: Literal["running", "completed"]
    total: int
    processed: int
    failed: int
    error: str | None = None
    created_at: Timestamp
    completed_at: Timestamp | None = None


class KeyRotationListResponse(Reply):
    """A page of rotations, newest first."""

    rotations: list[KeyRotationResponse]


def shown(row: Any) -> KeyRotationResponse:
    """A row as the wire shows it."""
    return KeyRotationResponse(**{name: row[name] for name in KeyRotationResponse.model_fields})
