from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chains.errors import RpcRefused, Unreadable
from intents.answers import Block, block, receipt

HASH, BLOCK_HASH = b"\x11" * 32, b"\x22" * 32
WHOLE: dict[str, Any] = {
    "transactionHash": f"0x{HASH.hex()}",
    "blockHash": f"0x{BLOCK_HASH.hex()}",
    "blockNumber": "0x7",
    "gasUsed": "0x5208",
    "effectiveGasPrice": "0x0",
    "status": "0x1",
}
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def test_a_whole_receipt_is_read() -> None:
    known = receipt(WHOLE, HASH)
    assert known is not None
    assert (known.block_number, known.block_hash, known.gas_used) == (7, BLOCK_HASH, 21_000)
    # a price of zero is a price
    assert (known.effective_gas_price, known.succeeded) == (0, True)


@pytest.mark.parametrize("odd", [None, "", "0x", "1", 1, True, [], {}, "0x2", "-0x1", "0x" + "f" * 65])
def test_what_decorates_a_receipt_is_unknown_when_it_is_odd(odd: object) -> None:
    known = receipt(WHOLE | {"status": odd, "effectiveGasPrice": odd, "gasUsed": odd}, HASH)
    assert known is not None
    assert known.succeeded is None
    assert known.effective_gas_price is None or odd == "0x2"
    missing = receipt({name: WHOLE[name] for name in ("transactionHash", "blockHash", "blockNumber")}, HASH)
    assert missing is not None
    assert (missing.succeeded, missing.effective_gas_price, missing.gas_used) == (None, None, None)


@pytest.mark.parametrize("name", ["transactionHash", "blockHash", "blockNumber"])
@pytest.mark.parametrize("odd", ["", "0x", 7, {}, "0x" + "zz" * 32, "0x" + "33" * 31])
def test_a_receipt_that_does_not_say_of_what_or_where_is_none(name: str, odd: object) -> None:
    with pytest.raises(Unreadable):
        receipt(WHOLE | {name: odd}, HASH)


def test_no_receipt_and_a_refusal_are_told_apart() -> None:
    assert receipt(None, HASH) is None
    assert receipt(WHOLE | {"blockNumber": None}, HASH) is None
    with pytest.raises(RpcRefused):
        receipt(RpcRefused(-32000, "no"), HASH)
    with pytest.raises(Unreadable):
        receipt(WHOLE, BLOCK_HASH)
    with pytest.raises(Unreadable):
        receipt([], HASH)


@pytest.mark.parametrize("odd", [None, "now", hex(2**62), hex(2**63 - 1), hex(int(NOW.timestamp()) + 3600), 5])
def test_a_blocks_time_that_cannot_be_is_unknown(odd: object) -> None:
    assert block({"timestamp": odd, "baseFeePerGas": "0x0"}, NOW) == Block(None, 0)


def test_blocks() -> None:
    assert block(None, NOW) is None
    assert block([], NOW) == Block(None, None)
    soon = NOW + timedelta(seconds=12)
    assert block({"timestamp": hex(int(soon.timestamp()))}, NOW) == Block(soon, None)
