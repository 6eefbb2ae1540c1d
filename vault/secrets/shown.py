"""A version as the wire shows it, without its value."""

from typing import Any
from uuid import UUID

from chains.addresses import format_address
from vault.secrets.repository import Row


def metadata_of(secret_id: UUID, path: str, row: Row) -> dict[str, Any]:
    """The fields of SecretMetadataResponse; a signing key's metadata also says its address."""
    metadata = dict(row["metadata"])
    if row["address"] is not None:
        metadata["address"] = format_address(bytes(row["address"]))
    return {
        "id": str(secret_id),
        "path": path,
        "type": row["type"],
        "version": row["version"],
        "metadata": metadata,
        "created_at": row["created_at"],
        "expires_at": row["expires_at"],
        "is_disabled": True if row["disabled_at"] is not None else None,
        "cmek_encrypted": True if row["cmek_fingerprint"] is not None else None,
    }
