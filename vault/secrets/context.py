"""The associated data that binds a sealed value to its place. Pure."""

from uuid import UUID

_LABEL = b"talon/secret/v1"


def seal_context(vault_id: UUID, path: str, version: int) -> bytes:
    """AES-GCM associated data of one version: a value moved to another vault, path or version does not open.

    Unambiguous: label, 16 bytes of vault id, 8 bytes of version (big-endian), then the path to the end.
    """
    return _LABEL + vault_id.bytes + version.to_bytes(8, "big") + path.encode()
