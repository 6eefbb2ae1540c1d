"""From what an HSM returns to what Ethereum takes: low s, recovery id, address. Pure.

Sources: SEC 1 (points), EIP-2 (low s), PKCS#11 v2.40 section 2.3.5 (EC_POINT is a DER octet string).
"""

from dataclasses import dataclass
from typing import Final

import coincurve
from asn1crypto.core import OctetString
from eth_utils.crypto import keccak

from signer.errors import InvalidKey, SignerUnavailable

ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECP256K1_OID: Final = "1.3.132.0.10"


@dataclass(frozen=True)
class RecoverableSignature:
    """r, s (never above half the order) and the parity of R's y: 0 or 1."""

    r: int
    s: int
    y_parity: int


def public_key_of(ec_point: bytes) -> bytes:
    """The 65-byte uncompressed point inside CKA_EC_POINT; decoded, never sliced: a slice is off by its header."""
    point = OctetString.load(ec_point, strict=True).native  # type: ignore[no-untyped-call]  # asn1crypto ships no types
    if len(point) != 65 or point[0] != 4:
        raise InvalidKey("the HSM returned a point that is not uncompressed secp256k1")
    return bytes(point)


def address_of(public_key: bytes) -> bytes:
    """The account of a 65-byte public key: the last 20 bytes of the Keccak-256 of its coordinates."""
    return bytes(keccak(public_key[1:])[-20:])


def public_key_of_private(private_key: bytes) -> bytes:
    """The public key of an imported private key; InvalidKey unless it is 32 bytes in 1…n-1."""
    if len(private_key) != 32 or not 0 < int.from_bytes(private_key, "big") < ORDER:
        raise InvalidKey("a secp256k1 private key is 32 bytes, above zero and below the group order")
    return bytes(coincurve.PrivateKey(private_key).public_key.format(compressed=False))


def normalise(signature: bytes, digest: bytes, address: bytes) -> RecoverableSignature:
    """Make an HSM's 64-byte r‖s canonical, and prove by recovery that this very key made it over this digest.

    Raises SignerUnavailable when no recovery gives `address`: such a signature must never leave the process.
    """
    if len(signature) != 64:
        raise SignerUnavailable("the HSM returned a signature of the wrong length")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise SignerUnavailable("the HSM returned a signature out of range")
    if s > ORDER // 2:
        s = ORDER - s
    canonical = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for y_parity in (0, 1):
        try:
            recovered = coincurve.PublicKey.from_signature_and_message(
                canonical + bytes([y_parity]), digest, hasher=None
            )
        except ValueError:
            continue
        if address_of(recovered.format(compressed=False)) == address:
            return RecoverableSignature(r, s, y_parity)
    raise SignerUnavailable("the HSM returned a signature that does not belong to the key")
