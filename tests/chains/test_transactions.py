import random
import secrets
from dataclasses import asdict, replace
from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_account.signers.local import LocalAccount

from chains.addresses import format_address
from chains.errors import BadTransaction
from chains.transactions import (
    HALF_N,
    MAX_NONCE,
    MAX_UINT64,
    MAX_UINT256,
    SECP256K1_N,
    DynamicFeeTransaction,
    LegacyTransaction,
    Transaction,
    decode_signed,
    encode_signed,
    fee_cap,
    from_fields,
    max_gas_cost,
    signing_digest,
    to_fields,
    transaction_hash,
)

LEGACY = LegacyTransaction(
    chain_id=1, nonce=9, gas_price=20 * 10**9, gas_limit=21000, to=b"\x35" * 20, value=10**18, data=b""
)
DYNAMIC = DynamicFeeTransaction(
    chain_id=8453,
    nonce=0,
    max_priority_fee_per_gas=1,
    max_fee_per_gas=2,
    gas_limit=90_000,
    to=bytes(20),
    value=0,
    data=b"\x00\x01",
)


def test_the_example_of_eip_155() -> None:
    key = Account.from_key("0x" + "46" * 32)
    assert signing_digest(LEGACY).hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    raw = encode_signed(
        LEGACY,
        18515461264373351373200002665853028612451056578545711640558177340181847433846,
        46948507304638947509940763649030358759909902576025900602547168820602576006531,
        0,
    )
    assert raw.hex() == (
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a0"
        "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3"
        "dc64214b297fb1966a3b6d83"
    )
    assert decode_signed(raw) == (LEGACY, bytes.fromhex(key.address[2:]))


def test_two_thousand_transactions_encode_as_eth_account_encodes_them() -> None:
    """Same bytes, same hash, and decoded back to the same fields and sender; no network."""
    seed = secrets.randbits(64)
    chance = random.Random(seed)
    accounts = [Account.create() for _ in range(5)]
    kinds = {LegacyTransaction: 0, DynamicFeeTransaction: 0}
    for number in range(2000):
        tx = _random(chance, LegacyTransaction if number % 2 else DynamicFeeTransaction)
        account = chance.choice(accounts)
        signed = account.sign_transaction(_for_eth_account(tx))
        parity = signed.v if isinstance(tx, DynamicFeeTransaction) else (signed.v - 35) % 2
        raw = encode_signed(tx, signed.r, signed.s, parity)
        where = f"seed {seed}, number {number}: {tx}"
        assert raw == bytes(signed.raw_transaction), where
        assert transaction_hash(raw) == bytes(signed.hash), where
        assert decode_signed(raw) == (tx, bytes.fromhex(account.address[2:])), where
        assert from_fields(to_fields(tx)) == tx, where
        kinds[type(tx)] += 1
    assert set(kinds.values()) == {1000}


def test_gas_cost_is_the_most_that_gas_can_cost() -> None:
    assert (fee_cap(LEGACY), max_gas_cost(LEGACY)) == (20 * 10**9, 420_000 * 10**9)
    assert (fee_cap(DYNAMIC), max_gas_cost(DYNAMIC)) == (2, 180_000)


@pytest.mark.parametrize("base", [LEGACY, DYNAMIC], ids=["legacy", "dynamic"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chain_id", 0),
        ("chain_id", MAX_UINT64 + 1),
        ("chain_id", True),
        ("nonce", -1),
        ("nonce", MAX_NONCE + 1),
        ("gas_limit", MAX_UINT64 + 1),
        ("gas_limit", 21000.0),
        ("value", -1),
        ("value", MAX_UINT256 + 1),
        ("value", "1"),
        ("to", b""),
        ("to", bytes(19)),
        ("to", bytes(32)),
        ("to", "0x" + "00" * 20),
        ("to", None),
        ("data", "0x"),
        ("data", bytearray(1)),
    ],
)
def test_fields_out_of_range_make_no_transaction(base: Transaction, field: str, value: Any) -> None:
    with pytest.raises(BadTransaction):
        replace(base, **{field: value})


def test_a_tip_above_the_cap_makes_no_transaction() -> None:
    with pytest.raises(BadTransaction):
        replace(DYNAMIC, max_priority_fee_per_gas=3)


@pytest.mark.parametrize(
    ("r", "s", "y_parity"),
    [(0, 1, 0), (1, 0, 0), (SECP256K1_N, 1, 0), (1, HALF_N + 1, 0), (1, SECP256K1_N, 0), (1, 1, 2), (1, 1, 27)],
)
def test_signatures_out_of_range_are_not_encoded(r: int, s: int, y_parity: int) -> None:
    for tx in (LEGACY, DYNAMIC):
        with pytest.raises(BadTransaction):
            encode_signed(tx, r, s, y_parity)


def test_another_signature_is_another_sender() -> None:
    account = Account.create()
    raw = bytes(account.sign_transaction(_for_eth_account(DYNAMIC)).raw_transaction)
    items = rlp.decode(raw[1:])
    flipped = b"\x02" + rlp.encode([*items[:9], b"" if items[9] else b"\x01", *items[10:]])
    assert decode_signed(flipped)[1] != bytes.fromhex(account.address[2:])


def test_every_broken_encoding_is_refused() -> None:
    legacy, dynamic = (_sign(tx) for tx in (LEGACY, DYNAMIC))
    items, typed = rlp.decode(legacy), rlp.decode(dynamic[1:])
    high_s = (SECP256K1_N - int.from_bytes(items[8], "big")).to_bytes(32, "big")
    broken = {
        "empty": b"",
        "type 1": b"\x01" + dynamic[1:],
        "type 3": b"\x03" + dynamic[1:],
        "truncated": dynamic[:-1],
        "trailing byte": dynamic + b"\x00",
        "legacy trailing byte": legacy + b"\x00",
        "no list": rlp.encode(b"x"),
        "a field missing": rlp.encode(items[:-1]),
        "a field more": b"\x02" + rlp.encode([*typed, b""]),
        "no replay protection": rlp.encode([*items[:6], b"\x1b", *items[7:]]),
        "chain zero": rlp.encode([*items[:6], b"\x23", *items[7:]]),
        "leading zero": rlp.encode([b"\x00\x09", *items[1:]]),
        "zero written out": b"\x02" + rlp.encode([typed[0], b"\x00", *typed[2:]]),
        "contract creation": rlp.encode([*items[:3], b"", *items[4:]]),
        "access list": b"\x02" + rlp.encode([*typed[:8], [[bytes(20), []]], *typed[9:]]),
        "list for a number": rlp.encode([[], *items[1:]]),
        "list for data": rlp.encode([*items[:5], [], *items[6:]]),
        "huge number": rlp.encode([*items[:4], b"\x01" * 33, *items[5:]]),
        "high s": rlp.encode([*items[:8], high_s]),
        "r is no point": rlp.encode([*items[:7], b"\x05", *items[8:]]),
        "tip above cap": b"\x02" + rlp.encode([*typed[:2], b"\x03", *typed[3:]]),
    }
    for name, raw in broken.items():
        with pytest.raises(BadTransaction):
            pytest.fail(f"{name}: decoded to {decode_signed(raw)}")


@pytest.mark.parametrize("tx", [LEGACY, DYNAMIC], ids=["legacy", "dynamic"])
def test_fields_are_strict(tx: Transaction) -> None:
    fields = to_fields(tx)
    assert all(isinstance(value, str) for value in fields.values())
    assert from_fields(fields) == tx
    bad: list[dict[str, Any]] = [
        {},
        fields | {"type": "access_list"},
        fields | {"type": 2},
        fields | {"memo": ""},
        {name: value for name, value in fields.items() if name != "data"},
        fields | {"nonce": 9},
        fields | {"nonce": "09"},
        fields | {"nonce": "-1"},
        fields | {"nonce": "0x9"},
        fields | {"nonce": "9\n"},
        fields | {"nonce": None},
        fields | {"to": "0x" + "AB" * 20},
        fields | {"to": "35" * 20},
        fields | {"data": "0x0"},
        fields | {"data": b""},
        fields | {"value": "1" + "0" * 78},
    ]
    for each in bad:
        with pytest.raises(BadTransaction):
            pytest.fail(f"{each} read as {from_fields(each)}")


def _sign(tx: Transaction, account: LocalAccount | None = None) -> bytes:
    account = account or Account.create()
    return bytes(account.sign_transaction(_for_eth_account(tx)).raw_transaction)


def _random(chance: random.Random, kind: type[LegacyTransaction] | type[DynamicFeeTransaction]) -> Transaction:
    fields: dict[str, Any] = {
        "chain_id": chance.choice([1, 10, 137, 8453, 31337, chance.randrange(1, 2**53)]),
        "nonce": _number(chance, 64, MAX_NONCE),
        "gas_limit": _number(chance, 64, MAX_UINT64),
        "to": chance.randbytes(chance.choice([1, 20])).rjust(20, b"\x00"),
        "value": _number(chance, 256, MAX_UINT256),
        "data": chance.randbytes(chance.choice([0, 0, 1, 4, 55, 56, 68, chance.randrange(3000)])),
    }
    if kind is LegacyTransaction:
        return LegacyTransaction(gas_price=_number(chance, 256, MAX_UINT256), **fields)
    tip, cap = sorted(_number(chance, 256, MAX_UINT256) for _ in range(2))
    return DynamicFeeTransaction(max_priority_fee_per_gas=tip, max_fee_per_gas=cap, **fields)


def _number(chance: random.Random, bits: int, largest: int) -> int:
    # all lengths alike, with the edges of RLP's one-byte form and of the range
    return min(
        chance.choice([0, 1, 127, 128, 255, 256, largest, chance.getrandbits(chance.randint(1, bits))]), largest
    )


def _for_eth_account(tx: Transaction) -> dict[str, Any]:
    names = {
        "chain_id": "chainId",
        "gas_price": "gasPrice",
        "gas_limit": "gas",
        "max_priority_fee_per_gas": "maxPriorityFeePerGas",
        "max_fee_per_gas": "maxFeePerGas",
    }
    fields = {names.get(name, name): value for name, value in asdict(tx).items()}
    kind = {"type": 2} if isinstance(tx, DynamicFeeTransaction) else {}
    return fields | {"to": format_address(tx.to)} | kind
