"""Nodes that lie, a kind each: what they say looks like an answer, and is not the chain's."""

from typing import Any, Final

from tests.support.faulty_rpc import Answer, Change, Fault, Item, wrong_chain
from tests.support.odd_node import BLOCK, COUNT, RECEIPT, TRACE, Row

SEND: Final = "eth_sendRawTransaction"
BY_NUMBER: Final = "eth_getBlockByNumber"
BY_HASH: Final = "eth_getTransactionByHash"


def _emptied(item: Item) -> Item:
    block: Any = item.get("result")
    return item | {"result": block | {"transactions": []}} if isinstance(block, dict) else item


def _silly(item: Item) -> Item:
    return item | {"result": hex(4_000_000_000)}


SEES_NOTHING: Final[dict[str, Fault]] = {RECEIPT: Answer(None), BY_HASH: Answer(None), TRACE: Answer(None)}
EMPTY_BLOCKS: Final[dict[str, Fault]] = {BY_NUMBER: Change(how=_emptied), BLOCK: Change(how=_emptied)}

LIES: Final[dict[str, Row]] = {
    "serves another chain": Row(wrong_chain(1_000_003)),
    "sees nothing": Row(SEES_NOTHING | EMPTY_BLOCKS),
    "counts far too many": Row({COUNT: Change(how=_silly)}),
    "swallows what is sent and gives another hash": Row({SEND: Answer("0x" + "5a" * 32), **SEES_NOTHING}),
    "answers nothing at all": Row({"*": Answer([])}),
}
