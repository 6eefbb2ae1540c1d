from dataclasses import replace
from typing import Any

import pytest

from chains.errors import RpcRefused
from chains.transactions import DynamicFeeTransaction, LegacyTransaction
from intents.answers import Receipt
from intents.execution import has_succeeded, price_paid

SENDER, TO = b"\x01" * 20, b"\x02" * 20
LEGACY = LegacyTransaction(1, 0, 50, 100_000, TO, 0, b"\x07")
DYNAMIC = DynamicFeeTransaction(1, 0, 2, 50, 100_000, TO, 0, b"\x07")
OLD = Receipt(b"\x11" * 32, 7, b"\x22" * 32, 60_000, None, None, has_state_root=True)
FRAME = {"type": "CALL", "from": f"0x{SENDER.hex()}", "to": f"0x{TO.hex()}", "input": "0x07", "gasUsed": "0x1"}


class Node:
    """Answers to a trace, or refuses it."""

    def __init__(self, trace: Any = None) -> None:
        self.trace = trace

    async def call(self, method: str, params: Any) -> Any:
        if self.trace is None:
            raise RpcRefused(-32601, "method not found")
        return self.trace


@pytest.mark.parametrize(
    ("receipt", "tx", "base_fee", "right"),
    [
        (OLD, LEGACY, None, True),
        # a failure took all gas then, and so may a success
        (replace(OLD, gas_used=100_000), LEGACY, None, None),
        (replace(OLD, gas_used=None), LEGACY, None, None),
        # whatever has base fees or types knows REVERT
        (OLD, LEGACY, 0, None),
        (OLD, DYNAMIC, None, None),
        (replace(OLD, has_state_root=False), LEGACY, None, None),
        (replace(OLD, succeeded=False), LEGACY, None, False),
    ],
)
async def test_an_old_chains_receipt_proves_success_only_where_failing_took_all_gas(
    receipt: Receipt, tx: Any, base_fee: int | None, right: bool | None
) -> None:
    assert await has_succeeded(Node(), receipt, tx, SENDER, base_fee) is right  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("trace", "right"),
    [
        (FRAME, True),
        (FRAME | {"error": "execution reverted"}, False),
        (FRAME | {"from": f"0x{TO.hex()}"}, None),
        (FRAME | {"to": f"0x{SENDER.hex()}"}, None),
        (FRAME | {"input": "0x08"}, None),
        (FRAME | {"gasUsed": None}, None),
        ({"type": "CALL"}, None),
        ([FRAME], None),
        ("reverted", None),
    ],
)
async def test_a_trace_proves_something_only_about_its_own_transaction(trace: Any, right: bool | None) -> None:
    receipt = replace(OLD, has_state_root=False)
    assert await has_succeeded(Node(trace), receipt, LEGACY, SENDER, 1) is right  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    ("tx", "base_fee", "price"),
    [(LEGACY, None, 50), (LEGACY, 7, 50), (DYNAMIC, 7, 9), (DYNAMIC, 49, 50), (DYNAMIC, 51, None), (DYNAMIC, 0, 2)],
)
def test_the_price_follows_from_the_base_fee(tx: Any, base_fee: int | None, price: int | None) -> None:
    assert price_paid(OLD, tx, base_fee) == price
    assert price_paid(OLD, DYNAMIC, None) is None
    assert price_paid(replace(OLD, effective_gas_price=3), tx, base_fee) == 3
