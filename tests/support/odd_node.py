"""Odd ways in which real nodes answer, a row each: how the answers change, and what is right to see over HTTP.

    node = OddNode(anvil_url)            # a FaultyRpc: everything no row changes is the real node's
    node.be(ASKED["no eth_feeHistory"])  # until node.be_sound()

A new oddity is one line in the table of the scene in which it shows; the tests go over every row of their table:

    PRICED     a request for a signature meets it: what the signed transaction holds
    ASKED      a submission meets it: HTTP status, and words that the `detail` or `error_message` holds
    FOLLOWED   a transaction that was submitted meets it: what its receipt shows (None: left out)

    RECEIPTS   receipts and blocks that leave something out: which fields stay unknown; all others are the chain's

A row's faults are by method, `EVERY` for all; `batches` is how lists of calls are treated.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.support.faulty_rpc import Answer, Batches, Change, Fault, FaultyRpc, Hold, Item, Refuse, Status

EVERY: Final = "*"
RECEIPT: Final = "eth_getTransactionReceipt"
COUNT: Final = "eth_getTransactionCount"
HISTORY: Final = "eth_feeHistory"
SIMULATE: Final = "eth_simulateV1"
ESTIMATE: Final = "eth_estimateGas"
LATEST: Final = "eth_getBlockByNumber"
TIP: Final = "eth_maxPriorityFeePerGas"
PRICE: Final = "eth_gasPrice"
SEND: Final = "eth_sendRawTransaction"
GWEI: Final = 10**9


@dataclass(frozen=True)
class Row:
    """One odd way of answering, and what is right; `asked` are further fields of the request that meets it."""

    faults: Mapping[str, Fault]
    right: Any = None
    batches: Batches | None = None
    words: tuple[str, ...] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)


class OddNode(FaultyRpc):
    """A node that is as odd as the row it was given."""

    def be(self, row: Row) -> None:
        """Answer as `row` says from now on, and no longer as any row before."""
        self.be_sound()
        # faults count down, the table's own must not
        faults = {method: deepcopy(fault) for method, fault in row.faults.items()}
        self.mode = faults.pop(EVERY, None)
        self.faults.update(faults)
        self.batches = row.batches

    def be_sound(self) -> None:
        """Pass everything on again, and what is held at last."""
        for fault in self.faults.values():
            if isinstance(fault, Hold):
                fault.released.set()
        self.mode, self.batches = None, None
        self.faults.clear()


def rows(table: Mapping[str, Row]) -> list[Any]:
    """The table for `pytest.mark.parametrize("row", rows(TABLE))`, each under its own name."""
    return [pytest.param(row, id=name) for name, row in table.items()]


# How an answer is changed


def without(*names: str) -> Change:
    """The answer's object without some of its fields."""
    return _on_objects(lambda result: {key: value for key, value in result.items() if key not in names})


def with_fields(**fields: Any) -> Change:
    """The answer's object with these fields set: `with_fields(status=None)`."""
    return _on_objects(lambda result: result | fields)


def when_block(tag: str, fault: Fault) -> Fault:
    """The fault, for calls about the block `tag` only."""
    fault.when = lambda params: isinstance(params, list) and tag in params
    return fault


def on(methods: Iterable[str], fault: Fault) -> dict[str, Fault]:
    """The same fault for several methods."""
    return {method: deepcopy(fault) for method in methods}


def _on_objects(how: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    def change(item: Item) -> Item:
        result = item.get("result")
        return item | {"result": how(result)} if isinstance(result, dict) else item

    return Change(how=change)


# Revert bytes of `require(false, "no")` (Solidity's Error(string))
NO: Final = "0x08c379a0" + f"{32:064x}" + f"{2:064x}" + "6e6f".ljust(64, "0")

LACKING: Final = Refuse(-32601, "the method does not exist/is not available")
PLAIN: Final = {SIMULATE: LACKING}


def as_a_whole(code: int, message: str) -> dict[str, Any]:
    """Every exchange is answered by one error, a list of calls too."""
    refusal = Refuse(code, message)
    return {"faults": {EVERY: refusal}, "batches": Batches(0, refusal)}


ASKED: Final[dict[str, Row]] = {
    "sound": Row({}, right=201),
    "no eth_feeHistory": Row({HISTORY: Refuse(-32601, "the method eth_feeHistory does not exist")}, right=201),
    "no eth_feeHistory, vaguely": Row({HISTORY: Refuse(-32603, "Internal error")}, right=201),
    "no eth_feeHistory, in words": Row({HISTORY: Refuse(-32000, "eth_feeHistory is not supported")}, right=201),
    "no tip suggested": Row({TIP: Refuse(-32601, "method not found")}, right=201),
    "no gas price": Row({PRICE: Refuse(-32601, "method not found")}, right=201),
    "no pending state": Row(
        on((COUNT, SIMULATE, ESTIMATE), when_block("pending", Refuse(-32000, "pending block is not available"))),
        right=201,
    ),
    "no pending tag, no simulation": Row(
        PLAIN | on((COUNT, "eth_call", ESTIMATE), when_block("pending", Refuse(-32602, "unknown block tag"))),
        right=201,
    ),
    "null for what is pending": Row({COUNT: when_block("pending", Answer(None))}, right=201),
    "sending fails, vaguely": Row(
        {SEND: Refuse(-32603, "Internal error")}, right=201, words=("endpoint 1 says: Internal error (-32603)",)
    ),
    "never to be taken": Row({SEND: Refuse(-32000, "oversized data")}, right=201, words=("will never take",)),
    "not taken now": Row({SEND: Refuse(-32000, "txpool is full")}, right=201, words=("for now", "txpool is full")),
    "no simulation": Row(PLAIN, right=201),
    "empty fee history": Row({HISTORY: Answer(None)}, right=201),
    "HTTP 502": Row({EVERY: Status(502)}, right=503, words=("endpoint 1 answered HTTP 502",)),
    "unauthorized": Row(
        **as_a_whole(-32000, "Unauthorized"), right=503, words=("endpoint 1", ": Unauthorized (-32000)")
    ),
    "unauthorized by HTTP": Row({EVERY: Status(401)}, right=503, words=("endpoint 1 answered HTTP 401",)),
    "too fast": Row(**as_a_whole(-32007, "50/second request limit reached"), right=503, words=("request limit",)),
    "internal": Row(**as_a_whole(-32603, "Internal error"), right=503, words=("Internal error (-32603)",)),
    "plain words for an error": Row(
        {EVERY: Status(200, b'{"error":"Unauthorized"}')}, right=503, words=(": Unauthorized (0)",)
    ),
    "a gas price of 4,000 gwei and no base fee": Row(
        {HISTORY: LACKING, LATEST: without("baseFeePerGas"), PRICE: Answer(hex(4_000 * GWEI))},
        right=503,
        words=("not believable", "give gas_price"),
    ),
    "100 bytes run for less than the node's own estimate": Row(
        PLAIN | {"eth_call": Answer("0x"), ESTIMATE: Answer(hex(25_000))},
        right=422,
        words=("25000", "EIP-7623"),
        asked={"gas_limit": 23_000, "data": "0x" + "11" * 100},
    ),
    "no balances": Row({"eth_getBalance": LACKING}, right=503, words=("does not exist", "-32601")),
    "says where it is": Row(
        **as_a_whole(-32000, "upstream https://eth.example/v2/SECRET is down"),
        right=503,
        words=("upstream (address)",),
    ),
    "no number": Row({COUNT: Answer("many")}, right=503, words=("not a number",)),
    "revert, as Parity says it": Row(
        PLAIN | {"eth_call": Refuse(-32015, "VM execution error.", f"Reverted {NO}")},
        right=422,
        words=("reverted, no",),
    ),
    "revert, in words only": Row(
        PLAIN | {"eth_call": Refuse(-32015, "VM execution error.", "err: revert")}, right=422, words=("err: revert",)
    ),
    "revert, as internal error": Row(
        PLAIN | {"eth_call": Refuse(-32603, "VM Exception while processing transaction: revert no luck")},
        right=422,
        words=("no luck",),
    ),
    "revert, of the simulation": Row(
        {SIMULATE: Refuse(-32015, "VM execution error.", f"Reverted {NO}")},
        right=422,
        words=("reverted, no",),
    ),
    "revert, of the estimate": Row(
        PLAIN | {"eth_estimateGas": Refuse(-32015, "VM execution error.", NO)}, right=422, words=("reverted, no",)
    ),
}


def base_fee(wei: int) -> dict[str, Fault]:
    """The chain's base fee, in history and blocks."""
    return {HISTORY: Answer({"baseFeePerGas": [hex(wei)] * 2}), LATEST: with_fields(baseFeePerGas=hex(wei))}


PRICED: Final[dict[str, Row]] = {
    "a tip of 25 gwei": Row(
        base_fee(7) | {TIP: Answer(hex(25 * GWEI))},
        right={"max_priority_fee_per_gas": 25 * GWEI, "max_fee_per_gas": 14 + 25 * GWEI},
    ),
    "a tip of a thousandth of a gwei": Row(
        base_fee(7) | {TIP: Answer(hex(GWEI // 1000))},
        right={"max_priority_fee_per_gas": GWEI // 1000, "max_fee_per_gas": 14 + GWEI // 1000},
    ),
    "a tip of 4,000 gwei": Row(
        base_fee(7) | {TIP: Answer(hex(4_000 * GWEI))},
        right={"max_priority_fee_per_gas": 50 * GWEI, "max_fee_per_gas": 14 + 50 * GWEI},
    ),
    "a tip of 4,000 gwei, by the gas price": Row(
        base_fee(7) | {TIP: LACKING, PRICE: Answer(hex(4_000 * GWEI))}, right={"max_priority_fee_per_gas": 50 * GWEI}
    ),
    "a tip of 200 gwei where the base fee is 30": Row(
        base_fee(30 * GWEI) | {TIP: Answer(hex(200 * GWEI))},
        right={"max_priority_fee_per_gas": 200 * GWEI, "max_fee_per_gas": 260 * GWEI},
    ),
    "a gas price of 4,000 gwei that the caller named": Row(
        {HISTORY: LACKING, LATEST: without("baseFeePerGas"), PRICE: Answer(hex(4_000 * GWEI))},
        right={"gas_price": 5 * GWEI},
        asked={"gas_price": str(5 * GWEI)},
    ),
    "a tip that only the gas price tells": Row(
        base_fee(7) | {TIP: LACKING, PRICE: Answer(hex(7 + 25 * GWEI))}, right={"max_priority_fee_per_gas": 25 * GWEI}
    ),
    "a tip above the caller's cap": Row(
        base_fee(7) | {TIP: Answer(hex(25 * GWEI))},
        right={"max_priority_fee_per_gas": GWEI, "max_fee_per_gas": GWEI},
        asked={"max_fee_per_gas": str(GWEI)},
    ),
    "a base fee of zero": Row(
        base_fee(0) | {TIP: Answer("0x5")}, right={"max_priority_fee_per_gas": 5, "max_fee_per_gas": 5}
    ),
    "a base fee of zero, with a cap": Row(
        base_fee(0), right={"max_fee_per_gas": 9}, asked={"max_fee_per_gas": "9", "max_priority_fee_per_gas": "1"}
    ),
    "a base fee in blocks only": Row(
        base_fee(7) | {HISTORY: LACKING, TIP: Answer("0x5")}, right={"max_fee_per_gas": 14 + 5}
    ),
    "no base fee at all": Row(
        {HISTORY: LACKING, LATEST: without("baseFeePerGas"), PRICE: Answer("0x9")}, right={"gas_price": 9}
    ),
    "100 bytes for less than the floor of EIP-7623": Row(
        PLAIN | {"eth_call": Answer("0x"), ESTIMATE: Answer(hex(22_600))},
        right={"gas_limit": 23_000},
        asked={"gas_limit": 23_000, "data": "0x" + "11" * 100},
    ),
    "a transfer that takes 60,000 gas": Row({ESTIMATE: Answer(hex(60_000))}, right={"gas_limit": 78_000}),
    "a transfer that takes 60,000 gas, plainly": Row(
        PLAIN | {ESTIMATE: Answer(hex(60_000))}, right={"gas_limit": 78_000}
    ),
    "a call that takes 13,697,170 gas": Row({ESTIMATE: Answer(hex(13_697_170))}, right={"gas_limit": 2**24}),
    "a call that takes 13,697,170 gas, plainly": Row(
        PLAIN | {ESTIMATE: Answer(hex(13_697_170))}, right={"gas_limit": 2**24}
    ),
}

# Ways of not taking a list of calls; each is answered by shorter lists, or by single calls
BATCHED: Final[dict[str, Batches]] = {
    "ten": Batches(10, Refuse(-32600, "batch limit exceeded")),
    "ten, by HTTP": Batches(10, Status(413)),
    "five, told in a list": Batches(5, Refuse(-32000, "too many calls in batch"), listed=True),
    "none": Batches(0, Refuse(-32600, "invalid request")),
    "none, told for every call": Batches(0, Refuse(-32000, "batch requests are not supported"), each=True),
    "none, not parsed": Batches(0, Refuse(-32700, "parse error")),
    "none, by HTTP": Batches(0, Status(400, b"Bad Request")),
    "none, vaguely": Batches(0, Refuse(-32603, "Internal error")),
}

# What an endpoint says that is no answer to the call: the next one is asked
ELSEWHERE: Final[dict[str, Row]] = {
    "-32005": Row(**as_a_whole(-32005, "limit exceeded")),
    "-32007": Row(**as_a_whole(-32007, "request limit reached")),
    "-32029": Row(**as_a_whole(-32029, "Too many requests")),
    "-32603": Row(**as_a_whole(-32603, "Internal error")),
    "unauthorized": Row(**as_a_whole(-32000, "Unauthorized")),
    "no such key": Row(**as_a_whole(-32001, "invalid API key")),
    "plain words": Row({EVERY: Status(200, b'{"error":"Unauthorized"}')}),
    "HTTP 401": Row({EVERY: Status(401, b"Unauthorized")}),
    "HTTP 403 in JSON": Row({EVERY: Status(403, b'{"error":{"code":-32600,"message":"Must be authenticated!"}}')}),
    "offers sending only": Row({EVERY: LACKING}),
    "something new": Row(**as_a_whole(-39999, "nobody knows")),
}

FOLLOWED: Final[dict[str, Row]] = {
    "sound": Row({}, right={"status": "success"}),
}

TRACE: Final = "debug_traceTransaction"
BLOCK: Final = "eth_getBlockByHash"
NO_TRACE: Final = {TRACE: Refuse(-32601, "the method debug_traceTransaction does not exist")}
PRICE: Final = "effectiveGasPrice"
PRICE_UNKNOWN: Final = ("effective_gas_price",)  # of a transaction with a tip; a legacy one names its price itself

RECEIPTS: Final[dict[str, Row]] = {
    "no status": Row({RECEIPT: without("status")}, right=()),
    "status null": Row({RECEIPT: with_fields(status=None)}, right=()),
    "status of a third kind": Row({RECEIPT: with_fields(status="0x2")}, right=()),
    "no status, no trace": Row({RECEIPT: without("status"), **NO_TRACE}, right=("status",)),
    "no status, an empty trace": Row({RECEIPT: without("status"), TRACE: Answer({})}, right=("status",)),
    "no status, a trace that is null": Row({RECEIPT: without("status"), TRACE: Answer(None)}, right=("status",)),
    "status null, a trace of somebody else": Row(
        {RECEIPT: with_fields(status=None), TRACE: Answer({"from": "0x" + "22" * 20, "gasUsed": "0x5208"})},
        right=("status",),
    ),
    "a state root on a chain with base fees": Row(
        {RECEIPT: with_fields(status=None, root="0x" + "11" * 32), **NO_TRACE}, right=("status",)
    ),
    "no price": Row({RECEIPT: without(PRICE)}, right=()),
    "price null": Row({RECEIPT: with_fields(effectiveGasPrice=None)}, right=()),
    "price no number": Row({RECEIPT: with_fields(effectiveGasPrice="cheap")}, right=()),
    "no price, no base fee": Row({RECEIPT: without(PRICE), BLOCK: without("baseFeePerGas")}, right=PRICE_UNKNOWN),
    "no price, base fee above the cap": Row(
        {RECEIPT: without(PRICE), BLOCK: with_fields(baseFeePerGas=hex(10**30))}, right=PRICE_UNKNOWN
    ),
    "gas null": Row({RECEIPT: with_fields(gasUsed=None)}, right=("gas_used",)),
    "price and status null": Row({RECEIPT: with_fields(status=None, effectiveGasPrice=None)}, right=()),
    "nothing but the block": Row(
        {RECEIPT: without("status", PRICE, "gasUsed"), BLOCK: Answer("a block"), **NO_TRACE},
        right=("status", "gas_used", *PRICE_UNKNOWN),
    ),
    "a block without a time": Row({BLOCK: without("timestamp")}, right=()),
    "a block's time null": Row({BLOCK: with_fields(timestamp=None)}, right=()),
    "a block of the year 292 billion": Row({BLOCK: with_fields(timestamp="0x" + "7f" * 8)}, right=()),
    "a block of next year": Row({BLOCK: with_fields(timestamp=hex(2**33))}, right=()),
    "no blocks by hash": Row({BLOCK: Refuse(-32601, "method not found")}, right=()),
}
