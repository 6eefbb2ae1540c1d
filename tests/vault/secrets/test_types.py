"""Which values are signing keys."""

import pytest

from vault.secrets.types import SECP256K1_ORDER, is_broken_key, parse_signing_key


def hex64(number: int) -> str:
    return f"{number:064x}"


@pytest.mark.parametrize("number", [1, 2, 0xABCDEF, SECP256K1_ORDER - 1])
@pytest.mark.parametrize("prefix", ["", "0x", "0X", " ", "\n0x"])
def test_keys(number: int, prefix: str) -> None:
    expected = number.to_bytes(32, "big")
    assert parse_signing_key(prefix + hex64(number)) == expected
    assert parse_signing_key(prefix + hex64(number) + "\n") == expected
    assert not is_broken_key(prefix + hex64(number))
    assert parse_signing_key(prefix + hex64(number).upper()) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        hex64(0),
        hex64(SECP256K1_ORDER),
        hex64(2**256 - 1),
        hex64(1)[1:],
        hex64(1) + "0",
        "g" * 64,
        "٣" * 64,
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_everything_else(value: str) -> None:
    assert parse_signing_key(value) is None


@pytest.mark.parametrize(
    "value", ["", "0x", "0x12", hex64(0), hex64(SECP256K1_ORDER), hex64(1)[1:], hex64(1) + "0\n"]
)
def test_hex_that_is_no_key_is_broken(value: str) -> None:
    assert is_broken_key(value)


@pytest.mark.parametrize("value", ["-----BEGIN PRIVATE KEY-----", "g" * 64, "correct horse battery staple"])
def test_what_is_not_hex_may_be_another_kind_of_key(value: str) -> None:
    assert not is_broken_key(value)
