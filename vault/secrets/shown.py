"""A version as the wire shows it, without its value."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from chains.addresses import format_address
from vault.secrets.repository import Row
from vault.secrets.types import PRIVATE_KEY

_INSTEAD: Final = "store it as 64 hex digits (a secp256k1 key), or have one made in the HSM with secret-generate."
SEALED: Final = f"This is stored as a sealed value, not in the HSM, and cannot sign transactions. To sign, {_INSTEAD}"
ENCRYPTED: Final = (
    "You encrypted this before it came here: it is not in the HSM and cannot sign transactions. To sign, use a vault"
    f" without a key of your own: {_INSTEAD}"
)
UNCONFIRMED: Final = (
    "An agent brought this key. It signs nothing, and no address is shown for it, until an owner or admin says that"
    " it may: PUT /v1/agents/{id}/signing-keys with this path and vault; the answer shows the address, and"
    " ?confirm=<address> makes it a wallet."
)


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
        # rows from before say nothing of it
        "unconfirmed": newest.get("unconfirmed", False),
    }
    return metadata_of(row["secret_id"], row["path"], version)


def created_of(secret_id: UUID, path: str, row: Row) -> dict[str, Any]:
    """The same in answer to storing: how a key was read, or that it is none and what to do about that."""
    shown = metadata_of(secret_id, path, row)
    if row.get("read_as") is not None:
        shown["metadata"]["read_as"] = row["read_as"]
    if row["type"] == PRIVATE_KEY and row["address"] is None:
        shown["metadata"]["notice"] = SEALED if row["cmek_fingerprint"] is None else ENCRYPTED
    return shown


def metadata_of(secret_id: UUID, path: str, row: Row) -> dict[str, Any]:
    """The fields of SecretMetadataResponse; a signing key's metadata also says its address.

    Of what has the type of a private key but is none, or no wallet yet, it says `signing_key: false`, and no
    address that somebody wrote there: people send funds to it.
    """
    metadata = dict(row["metadata"])
    if row["type"] == PRIVATE_KEY:
        metadata.pop("address", None)
        metadata["signing_key"] = False
    if row["unconfirmed"]:
        metadata["notice"] = UNCONFIRMED
    elif row["address"] is not None:
        metadata["address"] = format_address(bytes(row["address"]))
        metadata.pop("signing_key", None)
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
