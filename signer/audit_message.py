"""What is signed when an audit head is: the same bytes for the signer and for whoever verifies. Pure."""

from typing import Final
from uuid import UUID

DOMAIN: Final = b"talon/audit-head/v1\0"
HASH_BYTES: Final = 32
MAX_NUMBER: Final = 2**63 - 1


def head_message(org_id: UUID, position: int, integrity_hash: str, signed_at_us: int) -> bytes:
    """Every field of fixed length: organisation, position, SHA-256 (given in hex), microseconds since 1970.

    ValueError for what is no head.
    """
    digest = bytes.fromhex(integrity_hash)
    if len(digest) != HASH_BYTES or digest.hex() != integrity_hash:
        raise ValueError("not a SHA-256 in lower-case hex")
    if not 1 <= position <= MAX_NUMBER or not 0 <= signed_at_us <= MAX_NUMBER:
        raise ValueError("position or time out of range")
    return DOMAIN + org_id.bytes + position.to_bytes(8, "big") + digest + signed_at_us.to_bytes(8, "big")
