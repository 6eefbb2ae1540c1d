"""The bytes of a transaction: encode, digest, decode. [pure]

Two types: legacy with replay protection (EIP-155) and dynamic fee (EIP-1559, without an access list). RLP is the
rlp library's, keccak and recovery are libraries' too; nothing here is cryptography of our own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from coincurve import PublicKey
from eth_utils.crypto import keccak
from rlp.codec import decode, encode
from rlp.exceptions import RLPException

from chains.errors import BadTransaction

# EIP-2681: an account's nonce stays below 2**64 - 1
MAX_NONCE: Final = 2**64 - 2
MAX_UINT64: Final = 2**64 - 1
MAX_UINT256: Final = 2**256 - 1
# SEC 2: the order of secp256k1, and its half: a higher s is the malleable twin that EIP-2 forbids
SECP256K1_N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_N: Final = SECP256K1_N // 2
DYNAMIC_FEE_TYPE: Final = b"\x02"

_LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "chain_id": (1, MAX_UINT64),
    "nonce": (0, MAX_NONCE),
    "gas_limit": (0, MAX_UINT64),
}
_CANONICAL_NUMBER = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_CANONICAL_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class LegacyTransaction:
    """Type 0 with replay protection (EIP-155); prices and value in wei, `to` is 20 bytes.

    BadTransaction when a field is out of the range the protocol gives it.
    """

    chain_id: int
    nonce: int
    gas_price: int
    gas_limit: int
    to: bytes
    value: int
    data: bytes

    def __post_init__(self) -> None:
        _check_fields(self)


@dataclass(frozen=True, slots=True)
class DynamicFeeTransaction:
    """Type 2 (EIP-1559) with an empty access list; fees and value in wei, `to` is 20 bytes.

    BadTransaction when a field is out of range or the tip is above the cap.
    """

    chain_id: int
    nonce: int
    max_priority_fee_per_gas: int
    max_fee_per_gas: int
    gas_limit: int
    to: bytes
    value: int
    data: bytes

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.max_priority_fee_per_gas > self.max_fee_per_gas:
            raise BadTransaction("max_priority_fee_per_gas is above max_fee_per_gas")


Transaction = LegacyTransaction | DynamicFeeTransaction
_KINDS: Final[Mapping[str, type[LegacyTransaction] | type[DynamicFeeTransaction]]] = {
    "legacy": LegacyTransaction,
    "dynamic_fee": DynamicFeeTransaction,
}


def signing_digest(tx: Transaction) -> bytes:
    """The 32 bytes that are signed (EIP-155 or EIP-1559)."""
    if isinstance(tx, LegacyTransaction):
        return keccak(_rlp([*_items(tx), _bytes(tx.chain_id), b"", b""]))
    return keccak(DYNAMIC_FEE_TYPE + _rlp(_items(tx)))


def encode_signed(tx: Transaction, r: int, s: int, y_parity: int) -> bytes:
    """The raw bytes that a node takes.

    BadTransaction for a signature outside the curve's range, a high s (EIP-2) or a parity that is no bit; whose
    signature it is, is for `decode_signed` to tell.
    """
    _check_signature(r, s, y_parity)
    if isinstance(tx, LegacyTransaction):
        v = 35 + 2 * tx.chain_id + y_parity
        return _rlp([*_items(tx), _bytes(v), _bytes(r), _bytes(s)])
    return DYNAMIC_FEE_TYPE + _rlp([*_items(tx), _bytes(y_parity), _bytes(r), _bytes(s)])


def transaction_hash(raw: bytes) -> bytes:
    """The 32-byte hash under which chains know the raw bytes."""
    return keccak(raw)


def fee_cap(tx: Transaction) -> int:
    """The most that one unit of gas can cost, in wei."""
    return tx.gas_price if isinstance(tx, LegacyTransaction) else tx.max_fee_per_gas


def max_gas_cost(tx: Transaction) -> int:
    """The most that the gas can cost in all, in wei; value comes on top."""
    return tx.gas_limit * fee_cap(tx)


def decode_signed(raw: bytes) -> tuple[Transaction, bytes]:
    """The transaction in raw signed bytes, and its sender, 20 bytes.

    Strict: BadTransaction for bytes that are not the one canonical encoding of a type we sign.
    """
    if raw[:1] == DYNAMIC_FEE_TYPE:
        return _decode_dynamic_fee(raw)
    return _decode_legacy(raw)


def to_fields(tx: Transaction) -> dict[str, Any]:
    """The transaction as JSON-safe fields: numbers as decimal text (JSON numbers end at 2**53), bytes as hex."""
    values: dict[str, Any] = {"type": "legacy" if isinstance(tx, LegacyTransaction) else "dynamic_fee"}
    for field in fields(tx):
        value = getattr(tx, field.name)
        values[field.name] = f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
    return values


def from_fields(values: Mapping[str, Any]) -> Transaction:
    """The transaction that `to_fields` wrote; BadTransaction for a missing, unknown or differently written field."""
    kind = _KINDS.get(values.get("type", ""))
    if kind is None:
        raise BadTransaction("unknown transaction type")
    names = {field.name for field in fields(kind)}
    if values.keys() != names | {"type"}:
        raise BadTransaction("the fields are not those of the transaction type")
    return kind(**{name: _read(name, values[name]) for name in names})


def _read(name: str, value: Any) -> Any:
    pattern = _CANONICAL_HEX if name in ("to", "data") else _CANONICAL_NUMBER
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadTransaction(f"{name}: not canonical")
    return bytes.fromhex(value[2:]) if name in ("to", "data") else int(value)


def _check_fields(tx: Transaction) -> None:
    for field in fields(tx):
        value = getattr(tx, field.name)
        if field.name in ("to", "data"):
            if type(value) is not bytes:
                raise BadTransaction(f"{field.name}: not bytes")
            continue
        low, high = _LIMITS.get(field.name, (0, MAX_UINT256))
        if type(value) is not int or not low <= value <= high:
            raise BadTransaction(f"{field.name}: out of range")
    if len(tx.to) != 20:
        # an empty `to` would create a contract: a different thing that nobody here asks for
        raise BadTransaction("to: not 20 bytes")


def _check_signature(r: int, s: int, y_parity: int) -> None:
    if not 0 < r < SECP256K1_N or not 0 < s <= HALF_N:
        raise BadTransaction("signature out of range, or its s is high")
    if y_parity not in (0, 1):
        raise BadTransaction("signature parity is neither 0 nor 1")


def _items(tx: Transaction) -> list[Any]:
    if isinstance(tx, LegacyTransaction):
        head = [_bytes(tx.nonce), _bytes(tx.gas_price)]
    else:
        head = [
            _bytes(tx.chain_id),
            _bytes(tx.nonce),
            _bytes(tx.max_priority_fee_per_gas),
            _bytes(tx.max_fee_per_gas),
        ]
    items: list[Any] = [*head, _bytes(tx.gas_limit), tx.to, _bytes(tx.value), tx.data]
    return items if isinstance(tx, LegacyTransaction) else [*items, []]


def _decode_legacy(raw: bytes) -> tuple[Transaction, bytes]:
    items = _unrlp(raw, 9)
    nonce, gas_price, gas_limit, to, value, data, v_bytes, r, s = items
    v = _number(v_bytes)
    if v < 37:
        # 27 and 28 are signatures without replay protection, valid on every chain; 35 and 36 would be chain 0
        raise BadTransaction("legacy transaction without replay protection (EIP-155)")
    chain_id, y_parity = divmod(v - 35, 2)
    tx = LegacyTransaction(
        chain_id=chain_id,
        nonce=_number(nonce),
        gas_price=_number(gas_price),
        gas_limit=_number(gas_limit),
        to=to,
        value=_number(value),
        data=data,
    )
    return tx, _sender(tx, _number(r), _number(s), y_parity)


def _decode_dynamic_fee(raw: bytes) -> tuple[Transaction, bytes]:
    items = _unrlp(raw[1:], 12)
    chain_id, nonce, tip, cap, gas_limit, to, value, data, access_list, y_parity, r, s = items
    if access_list != []:
        raise BadTransaction("access lists are not among what we sign")
    tx = DynamicFeeTransaction(
        chain_id=_number(chain_id),
        nonce=_number(nonce),
        max_priority_fee_per_gas=_number(tip),
        max_fee_per_gas=_number(cap),
        gas_limit=_number(gas_limit),
        to=to,
        value=_number(value),
        data=data,
    )
    return tx, _sender(tx, _number(r), _number(s), _number(y_parity))


def _sender(tx: Transaction, r: int, s: int, y_parity: int) -> bytes:
    _check_signature(r, s, y_parity)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([y_parity])
    try:
        public_key = PublicKey.from_signature_and_message(signature, signing_digest(tx), hasher=None)
    except ValueError as error:
        raise BadTransaction("no key could have made this signature") from error
    return keccak(public_key.format(compressed=False)[1:])[12:]


def _rlp(items: list[Any]) -> bytes:
    encoded: bytes = encode(items)  # type: ignore[no-untyped-call]  # rlp ships no types
    return encoded


def _unrlp(raw: bytes, count: int) -> list[Any]:
    try:
        items = decode(raw, strict=True)  # type: ignore[no-untyped-call]  # rlp ships no types
    except RLPException as error:
        raise BadTransaction("not canonical RLP") from error
    if not isinstance(items, list) or len(items) != count:
        raise BadTransaction(f"not a list of {count} fields")
    return items


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _number(item: Any) -> int:
    if not isinstance(item, bytes) or item[:1] == b"\x00" or len(item) > 32:
        raise BadTransaction("a number is not in canonical form")
    return int.from_bytes(item, "big")
