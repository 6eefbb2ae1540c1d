import secrets

import coincurve
import pytest
from asn1crypto.core import OctetString
from eth_account import Account

from signer.ecdsa import ORDER, address_of, normalise, public_key_of, public_key_of_private
from signer.errors import InvalidKey, SignerUnavailable

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ADDRESS = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")


def raw_signature(key: bytes, digest: bytes) -> tuple[int, int]:
    made = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    return int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")


def joined(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_the_address_of_a_well_known_key() -> None:
    assert address_of(public_key_of_private(KEY)) == ADDRESS


def test_a_high_s_becomes_low_and_the_parity_follows() -> None:
    for _ in range(50):
        digest = secrets.token_bytes(32)
        r, s = raw_signature(KEY, digest)
        low = normalise(joined(r, s), digest, ADDRESS)
        high = normalise(joined(r, ORDER - s), digest, ADDRESS)
        assert low == high
        assert low.s <= ORDER // 2
        as_eth_account_sees_it = Account._recover_hash(digest, vrs=(27 + low.y_parity, low.r, low.s))
        assert bytes.fromhex(as_eth_account_sees_it[2:]) == ADDRESS


def test_a_signature_of_another_key_never_passes() -> None:
    digest = secrets.token_bytes(32)
    r, s = raw_signature(secrets.token_bytes(32), digest)
    with pytest.raises(SignerUnavailable, match="does not belong"):
        normalise(joined(r, s), digest, ADDRESS)


@pytest.mark.parametrize("signature", [b"", b"\x01" * 63, b"\x01" * 65, bytes(64), b"\xff" * 64])
def test_what_is_no_signature_never_passes(signature: bytes) -> None:
    with pytest.raises(SignerUnavailable):
        normalise(signature, secrets.token_bytes(32), ADDRESS)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\x01" * 31, b"\x01" * 33, ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_what_is_no_private_key_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidKey) as caught:
        public_key_of_private(key)
    assert key.hex()[:16] == "" or key.hex()[:16] not in str(caught.value)


def test_the_ends_of_the_range_of_private_keys_are_in_it() -> None:
    for number in (1, ORDER - 1):
        key = number.to_bytes(32, "big")
        assert address_of(public_key_of_private(key)) == bytes.fromhex(Account.from_key(key).address[2:])


def test_a_point_is_decoded_not_sliced() -> None:
    point = public_key_of_private(KEY)
    assert public_key_of(OctetString(point).dump()) == point
    long_form = b"\x04\x81\x41" + point  # not DER's shortest form of the length, but met in the wild
    assert public_key_of(long_form) == point


@pytest.mark.parametrize("length", [0, 33, 64, 66])
def test_a_point_of_another_form_is_refused(length: int) -> None:
    with pytest.raises(InvalidKey):
        public_key_of(OctetString(b"\x04" * length).dump())
