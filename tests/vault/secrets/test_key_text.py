"""Which values are signing keys, and which of them only look like one."""

import json
import traceback

import pytest

from vault.secrets.key_text import READ_AS, SECP256K1_ORDER, NotOneKey, read_key

DIGITS = "4c0883a69102937d6231471b5dbb6204fe512961708279feb1be6ae5538da033"
KEY = bytes.fromhex(DIGITS)
OTHER = "11" * 32
BOM, ZERO_WIDTH = "\ufeff", "\u200b"
KEYSTORE = {
    "address": "2c7536e3605d9c16a7a3d7b1898e529396a65c23",
    "crypto": {
        "cipher": "aes-128-ctr",
        "ciphertext": DIGITS,
        "cipherparams": {"iv": "dc4926b48a105133d2f16b96833abf1e"},
        "kdf": "scrypt",
        "kdfparams": {"n": 262144, "salt": OTHER},
        "mac": "22" * 32,
    },
    "version": 3,
}


def hex64(number: int) -> str:
    return f"{number:064x}"


@pytest.mark.parametrize("number", [1, 2, 0xABCDEF, SECP256K1_ORDER - 1])
@pytest.mark.parametrize("prefix", ["", "0x", "0X", " ", "\n0x"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_digits_with_white_space_are_a_key(number: int, prefix: str, end: str) -> None:
    for digits in (hex64(number), hex64(number).upper()):
        read = read_key(prefix + digits + end)
        assert read is not None
        assert (read.key, read.read_as) == (number.to_bytes(32, "big"), None)


@pytest.mark.parametrize(
    "value",
    [
        f"{BOM}{DIGITS}",
        f"{BOM}0x{DIGITS}\r\n",
        f"{DIGITS}{ZERO_WIDTH}",
        f"{DIGITS[:32]}{ZERO_WIDTH}{DIGITS[32:]}",
        f'"{DIGITS}"',
        f"'0x{DIGITS}'",
        f"`{DIGITS}`",
        f"“0x{DIGITS}”",
        f"PRIVATE_KEY=0x{DIGITS}",
        f"PRIVATE_KEY = {DIGITS}\n",
        f"export KEY='0x{DIGITS}'; # mainnet, do not lose",
        f"KEY: 0x{DIGITS}",
        f"# the hot wallet\nKEY=0x{DIGITS}\nCHAIN=1\n",
        f"0x{DIGITS} # comment",
        f"0x{DIGITS}\\n",
        f"0x{DIGITS}\n// 0x2c7536E3605D9C16a7a3D7b1898e529396a65c23",
        json.dumps({"privateKey": f"0x{DIGITS}", "address": "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23"}),
        json.dumps([DIGITS]),
        f"['{DIGITS}']",
        f"{BOM}NAME=0x{DIGITS.upper()}",
        f"priv={DIGITS} pub={OTHER}{OTHER}",
    ],
    ids=ascii,
)
def test_what_stands_around_the_only_key_is_left_out(value: str) -> None:
    read = read_key(value)
    assert read is not None
    assert (read.key, read.read_as) == (KEY, READ_AS)
    assert DIGITS not in repr(read)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x",
        "0x12",
        "abcdef",
        hex64(0),
        hex64(SECP256K1_ORDER),
        hex64(2**256 - 1),
        hex64(1)[1:],
        hex64(1) + "0\n",
        f"02{DIGITS}",
        f"{DIGITS}{OTHER}",
        f"KEY=0x{DIGITS}0",
        f"KEY={DIGITS[:-1]}",
        f'{BOM}"{DIGITS[:-2]}"',
        f"KEY={hex64(0)}",
        f'"{hex64(SECP256K1_ORDER)}"',
        f"{DIGITS}\n{OTHER}",
        f"{DIGITS} {DIGITS}",
        f"KEY={DIGITS} # tx 0x{OTHER}",
        json.dumps(KEYSTORE),
        # a keystore of which only the mac has 64 digits
        json.dumps({"crypto": {"ciphertext": "ab" * 16, "kdf": "scrypt", "mac": DIGITS}}),
        f"KEY_{DIGITS}",
        f"{DIGITS}ghi",
        f"\\n{DIGITS}",
        f"ed25519:{DIGITS}",
        json.dumps({"curve": "secp256r1", "d": DIGITS}),
        f"-----BEGIN KEY-----\n{DIGITS}\n-----END KEY-----",
        f"{DIGITS[:32]} {DIGITS[32:]}",
        f"{DIGITS[:32]}\n{DIGITS[32:]}\n",
        ":".join(DIGITS[i : i + 2] for i in range(0, 64, 2)),
        "".join(chr(ord(char) + 0xFEE0) for char in DIGITS),
        f"KEY=０x{DIGITS[:-1]}３",
    ],
    ids=ascii,
)
def test_what_is_not_one_key_is_refused_in_words_that_do_not_repeat_it(value: str) -> None:
    with pytest.raises(NotOneKey) as caught:
        read_key(value)
    said = "".join(traceback.format_exception(caught.value))
    assert DIGITS[:16] not in said
    assert len(value) < 8 or value not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "g" * 64,
        "٣" * 64,
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----",
        "correct horse battery staple",
        "add bed cab dad face fade feed",
        # WIF, a Solana array, base64 with one and with two signs at the end
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        json.dumps(list(range(64))),
        "n4bQgYhMfWWaLqgxVrQFaO0TxsrC4Is0V1sFbDwCgg0=",
        "bm90IGEga2V5IGJ1dCBiYXNlNjQgb2Ygc29tZXRoaW5nZQ==",
        "KEY=",
        "user:beef",
        "550e8400-e29b-41d4-a716-446655440000 and more",
        "あいこくしん あいさつ",
    ],
    ids=ascii,
)
def test_other_secrets_are_none(value: str) -> None:
    assert read_key(value) is None
