"""Why a call failed, in words: the bytes a contract returns when it reverts. [pure]

What comes from a contract is untrusted text: it is bounded and stripped of control characters.
"""

import re
from typing import Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from chains.errors import BadHex
from chains.hexdata import format_data, parse_data

# Solidity: Error(string) of require and revert, Panic(uint256) of assert and checked arithmetic
ERROR_SELECTOR: Final = bytes.fromhex("08c379a0")
PANIC_SELECTOR: Final = bytes.fromhex("4e487b71")
MAX_TEXT: Final = 300
MAX_SHOWN_BYTES: Final = 132
MAX_REVERT_BYTES: Final = 64 * 1024

_PANICS: Final = {
    0x00: "generic compiler panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division or modulo by zero",
    0x21: "value out of range for an enum",
    0x22: "incorrectly encoded storage byte array",
    0x31: "pop on an empty array",
    0x32: "array index out of bounds",
    0x41: "too much memory allocated",
    0x51: "call to an uninitialised function",
}
# go-ethereum's code for a revert that returned data, and Parity's for one that did not succeed
_REVERT_CODES: Final = frozenset({3, -32015})
_FAILED = re.compile(
    r"revert|opcode|out ?of ?gas|evm error|vm (execution error|exception)|invalid jump|stack (over|under)flow",
    re.IGNORECASE,
)
# revert bytes on their own, or behind a word: "Reverted 0x08c379a0…"
_BYTES = re.compile(r"(?:\A|\s|:)(0x[0-9a-fA-F]*)\Z", re.ASCII)
_PREFIXES: Final = ("execution reverted: ", "execution reverted", "vm exception while processing transaction: ")


def decode_revert(data: bytes, message: str = "") -> str:
    """The reason in revert data: Error(string)'s text, Panic(uint256) in words, a custom error as selector and data.

    Without data, what the node says in `message`; never empty.
    """
    if data[:4] == ERROR_SELECTOR:
        reason = _error_text(data[4:])
        if reason is not None:
            return reason
    if data[:4] == PANIC_SELECTOR and len(data) == 36:
        code = int.from_bytes(data[4:], "big")
        return f"panic 0x{code:02x}: {_PANICS.get(code, 'unknown panic')}"
    if len(data) >= 4:
        arguments = data[4:MAX_SHOWN_BYTES]
        more = " (shortened)" if len(data) > MAX_SHOWN_BYTES else ""
        shown = f" with data {format_data(arguments)}{more}" if arguments else ""
        return f"custom error {format_data(data[:4])}{shown}"
    return _node_reason(message)


def is_revert(code: int, message: str, data: str | None) -> bool:
    """Does a JSON-RPC error say that the execution failed? Codes, words and data tell; there is no standard."""
    if code in _REVERT_CODES or len(revert_data(data)) >= 4:
        return True
    return any(_FAILED.search(text[:MAX_TEXT]) for text in (message, data or ""))


def reason_of(message: str, data: str | None) -> str:
    """Why the execution failed, from a JSON-RPC error's words and data; never empty."""
    returned = revert_data(data)
    if returned or data is None or data.startswith("0x"):
        return decode_revert(returned, message)
    # the words are in the data ("err: revert"), and the message only says that something went wrong
    return _node_reason(f"{message} {data}")


def revert_data(text: object) -> bytes:
    """Revert bytes as a node returns them; empty when there are none or they cannot be read."""
    found = _BYTES.search(text.strip()) if isinstance(text, str) else None
    if found is None:
        return b""
    try:
        return parse_data(found.group(1), MAX_REVERT_BYTES)
    except BadHex:
        return b""


def clean(text: str, max_length: int = MAX_TEXT) -> str:
    """Untrusted text on one line, without control characters, bounded."""
    printable = "".join(character if character.isprintable() else " " for character in text[: max_length * 4])
    return " ".join(printable.split())[:max_length]


def _error_text(arguments: bytes) -> str | None:
    try:
        (text,) = decode(["string"], arguments)
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return None
    return clean(text) or "reverted with an empty reason"


def _node_reason(message: str) -> str:
    reason = clean(message)
    for prefix in _PREFIXES:
        if reason.lower().startswith(prefix):
            reason = reason[len(prefix) :].strip()
    return reason or "reverted without a reason"
