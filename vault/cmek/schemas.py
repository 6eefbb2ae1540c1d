"""Wire forms of customers' keys and their rotations."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from vault.schemas import Reply, StrictModel, Timestamp

Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""The SHA-256 of a key's 32 bytes in lower-case hex."""


class EnableCmekRequest(StrictModel):
    """The key that clients will encrypt with, by its fingerprint."""

    fingerprint: Fingerprint


class CmekRotateRequest(StrictModel):
    """The key to go over to, by its fingerprint."""

    new_fingerprint: Fingerprint


class CmekRotationJobResponse(Reply):
    """A rotation: `processed` of `total_secrets` values are under the new key.

    `failed` (only when there are such) could not be decrypted and stay as they are. An `interrupted` job goes on when
    its request is repeated with both keys.
    """

    id: UUID
    vault_id: UUID
    old_fingerprint: str
    new_fingerprint: str
    status: Literal["running", "completed", "failed", "interrupted"]
    total_secrets: int
    processed: int
    failed: int | None = None
    error: str | None = None
    created_at: Timestamp
    started_at: Timestamp
    completed_at: Timestamp | None = None


def shown(row: Any) -> CmekRotationJobResponse:
    """A row as the wire shows it."""
    fields = {name: row[name] for name in CmekRotationJobResponse.model_fields}
    return CmekRotationJobResponse(**fields | {"failed": row["failed"] or None})
