"""The request to eth_simulateV1 that runs calls and reads balances around them, and its answer. [pure]

Every call gets a block of its own, so that one call's gas does not take room from the next; the reads before and
after it stand in blocks of their own for the same reason. Nothing of this exists outside the simulation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from chains.errors import BadHex
from chains.hexdata import format_data
from chains.quantities import COUNT_BITS, parse_quantity
from chains.reverts import clean
from chains.reverts import revert_data as hex_bytes
from chains.transfers import Pair

# At an address nobody has a key for, during the simulation only, stands a contract that answers with the native
# balance of each 32-byte word it is given:
#   for (i = 0; i < CALLDATASIZE; i += 32) MSTORE(i, BALANCE(CALLDATALOAD(i))); RETURN(0, CALLDATASIZE)
READER: Final = bytes.fromhex("7a1000000000000000000000000000000000bea1")
READER_CODE: Final = bytes.fromhex("60005b3681101560155780353181526020016002565b366000f3")
READ_GAS: Final = 500_000
BALANCE_OF: Final = bytes.fromhex("70a08231")
SYMBOL: Final = bytes.fromhex("95d89b41")
DECIMALS: Final = bytes.fromhex("313ce567")
MAX_SYMBOL: Final = 32
# 10**77 is the largest power of ten in 256 bits: nothing moves in smaller parts
MAX_DECIMALS: Final = 77
# Enough for any transaction a person wants to read about
MAX_PAIRS: Final = 64


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to simulate: addresses of 20 bytes, value in wei; without a gas limit it gets what it takes."""

    sender: bytes
    to: bytes
    value: int
    data: bytes
    gas_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """What one call did: gas, revert bytes or result, logs, the node's words, and the balances around it."""

    succeeded: bool
    gas_used: int
    block_gas_limit: int
    returned: bytes
    message: str
    logs: Sequence[Mapping[str, Any]]
    before: Mapping[Pair, int] = field(default_factory=dict)
    after: Mapping[Pair, int] = field(default_factory=dict)
    symbols: Mapping[bytes, str] = field(default_factory=dict)
    decimals: Mapping[bytes, int | None] = field(default_factory=dict)


class UnreadableError(ValueError):
    """The node's answer does not have the shape of the request."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls to run one after the other behind `prior`, with the balances to read around each."""

    prior: Sequence[Call]
    calls: Sequence[Call]
    watched: Sequence[Sequence[Pair]]

    def params(self, tag: str = "pending") -> list[Any]:
        """The parameters of eth_simulateV1, on the state of `tag`."""
        blocks: list[dict[str, Any]] = [{"calls": [call_object(call)]} for call in self.prior]
        for call, pairs in zip(self.calls, self.watched, strict=True):
            reads = _reads(pairs)
            blocks += [
                {"calls": reads},
                {"calls": [call_object(call)]},
                {"calls": reads + [_read(token, what) for token in _tokens(pairs) for what in (SYMBOL, DECIMALS)]},
            ]
        # an override lasts for the blocks after it too
        blocks[0]["stateOverrides"] = {format_data(READER): {"code": format_data(READER_CODE)}}
        return [{"blockStateCalls": blocks, "traceTransfers": True, "validation": False}, tag]

    def read(self, answer: Any) -> list[Ran]:
        """What each of the calls did; UnreadableError when the answer is not one to this plan."""
        skip = len(self.prior)
        if not isinstance(answer, list) or len(answer) != skip + 3 * len(self.calls):
            raise UnreadableError("the node simulated something else than was asked")
        ran = []
        blocks = iter(answer[skip:])
        for pairs in self.watched:
            before, block, after = islice(blocks, 3)
            try:
                ran.append(_ran(pairs, before["calls"], block, after["calls"]))
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, BadHex) as error:
                raise UnreadableError("the node's simulation cannot be read") from error
        return ran


def call_object(call: Call) -> dict[str, Any]:
    """The call as JSON-RPC writes it; without prices, so that its fee changes no balance."""
    written = {
        "from": format_data(call.sender),
        "to": format_data(call.to),
        "value": hex(call.value),
        "data": format_data(call.data),
    }
    return written if call.gas_limit is None else written | {"gas": hex(call.gas_limit)}


def _ran(pairs: Sequence[Pair], before: Sequence[Any], block: Mapping[str, Any], after: Sequence[Any]) -> Ran:
    (result,) = block["calls"]
    error = result.get("error") or {}
    reads = len(_reads(pairs))
    # two answers a token, in turn
    units = list(zip(_tokens(pairs), after[reads::2], after[reads + 1 :: 2], strict=True))
    return Ran(
        succeeded=parse_quantity(result["status"], COUNT_BITS) == 1,
        gas_used=parse_quantity(result["gasUsed"], COUNT_BITS),
        block_gas_limit=parse_quantity(block["gasLimit"], COUNT_BITS),
        returned=hex_bytes(result.get("returnData")) or hex_bytes(error.get("data")),
        message=str(error.get("message", "")),
        logs=_logs(result.get("logs")),
        before=_balances(pairs, before),
        after=_balances(pairs, after[:reads]),
        symbols={token: _symbol(symbol) for token, symbol, _ in units},
        decimals={token: _decimals(decimals) for token, _, decimals in units},
    )


def _logs(logs: Any) -> list[Mapping[str, Any]]:
    if logs is None:
        return []
    if not isinstance(logs, list) or not all(isinstance(each, dict) for each in logs):
        raise UnreadableError("the logs cannot be read")
    if not all(isinstance(each.get("topics") or [], list) for each in logs):
        raise UnreadableError("the logs' topics cannot be read")
    return logs


def _natives(pairs: Sequence[Pair]) -> list[bytes]:
    return [holder for holder, token in pairs if token is None]


def _of_tokens(pairs: Sequence[Pair]) -> Iterator[tuple[bytes, bytes]]:
    return ((holder, token) for holder, token in pairs if token is not None)


def _tokens(pairs: Sequence[Pair]) -> list[bytes]:
    return list(dict.fromkeys(token for _, token in _of_tokens(pairs)))


def _reads(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    native = b"".join(_word(holder) for holder in _natives(pairs))
    return [
        _read(READER, native),
        *(_read(token, BALANCE_OF + _word(holder)) for holder, token in _of_tokens(pairs)),
    ]


def _read(to: bytes, data: bytes) -> dict[str, str]:
    return {"to": format_data(to), "data": format_data(data), "gas": hex(READ_GAS)}


def _word(address: bytes) -> bytes:
    return bytes(12) + address


def _balances(pairs: Sequence[Pair], reads: Sequence[Any]) -> dict[Pair, int]:
    natives = _natives(pairs)
    words = hex_bytes(reads[0].get("returnData"))
    if len(words) != 32 * len(natives):
        raise UnreadableError("the native balances cannot be read")
    balances: dict[Pair, int] = {
        (holder, None): int.from_bytes(words[32 * i : 32 * i + 32], "big") for i, holder in enumerate(natives)
    }
    for (holder, token), read in zip(_of_tokens(pairs), reads[1:], strict=True):
        returned = hex_bytes(read.get("returnData"))
        # what does not answer like a token is none
        if read.get("status") == "0x1" and len(returned) == 32:
            balances[holder, token] = int.from_bytes(returned, "big")
    return balances


def _symbol(read: Mapping[str, Any]) -> str:
    """A token's own name for itself: untrusted text, as a string or, in old tokens, as 32 bytes."""
    returned = hex_bytes(read.get("returnData")) if read.get("status") == "0x1" else b""
    if len(returned) == 32:
        return clean(returned.rstrip(b"\0").decode("utf-8", "replace"), MAX_SYMBOL)
    try:
        (text,) = decode(["string"], returned)
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return ""
    return clean(text, MAX_SYMBOL)


def _decimals(read: Mapping[str, Any]) -> int | None:
    """How many decimals a token says its unit has (ERC-20); None for a token that does not say."""
    returned = hex_bytes(read.get("returnData")) if read.get("status") == "0x1" else b""
    decimals = int.from_bytes(returned, "big")
    return decimals if len(returned) == 32 and decimals <= MAX_DECIMALS else None
