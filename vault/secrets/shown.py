"""A version as the wire shows it, without its value."""

from datetime import datetime
from typing import Any
from uuid import UUID

from chains.addresses import format_address
from vault.secrets.repository import Row


def listed_of(row: Row) -> dict[str, Any]:
    """The same from what a secret's own row repeats of its newest version."""
    newest = row["newest"]
    expires_at, address = newest["expires_at"], newest["address"]
    version = {
        **newest,
        "created_at": datetime.fromisoformat(newest["created_at"]),
        "expires_at": None if expires_at is None else datetime.fromisoformat(expires_at),
        "address": None if address is None else bytes.fromhex(address),
        "disabled_at": None,
        "cmek_fingerprint": "" if newest["cmek"] else None,
    }
    return metadata_of(row["secret_id"], row["path"], version)


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
