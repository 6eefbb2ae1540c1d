"""What a node means when it refuses raw bytes. [pure]

There is no standard: codes differ and are reused, so the wording decides; the table knows those of go-ethereum,
erigon, nethermind, besu, reth and anvil. What no row names is UNKNOWN, never "failed": the bytes may be in
somebody's pool, and a nonce that could still be mined must not be given to another transaction.
"""

import re
from enum import Enum
from typing import Final


class SendOutcome(Enum):
    """What became of bytes that were sent."""

    ACCEPTED = "accepted"
    ALREADY_KNOWN = "already_known"
    NONCE_TOO_LOW = "nonce_too_low"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def _row(*wordings: str) -> re.Pattern[str]:
    return re.compile("|".join(wordings), re.IGNORECASE)


# The first row that matches decides. Transient trouble goes first: a proxy may quote anything inside its message.
_TABLE: Final[tuple[tuple[re.Pattern[str], SendOutcome], ...]] = (
    (
        _row(
            r"rate.?limit",
            r"too many requests",
            r"time(d)?.?out",
            r"temporar",
            r"try again",
            r"overload",
            r"capacity exceeded",
            r"compute units",
            r"\bdaily (request|quota)",
            r"context (canceled|deadline)",
            r"bad gateway",
            r"service unavailable",
            r"header not found",
        ),
        SendOutcome.UNKNOWN,
    ),
    (
        _row(
            r"already known",
            r"alreadyknown",
            r"already_exists",
            r"already imported",
            r"already in (the )?(mem)?pool",
            r"already exists in (the )?(mem)?pool",
            r"\bknown transaction",
            r"transaction[_ ]already[_ ]known",
        ),
        SendOutcome.ALREADY_KNOWN,
    ),
    (
        _row(r"nonce.{0,10}too[ _]low", r"\boldnonce\b", r"nonce_too_low", r"nonce is below"),
        SendOutcome.NONCE_TOO_LOW,
    ),
    (
        _row(
            # funds
            r"insufficient.?(funds|balance)",
            r"upfront.cost.exceeds",
            r"overshot",
            # price
            r"underpriced",
            r"fee ?too ?low",
            r"feetoolowtocompete",
            r"gas.?price.{0,20}(too low|below|less than)",
            r"less than block base ?fee",
            r"max.?fee.?per.?gas.{0,30}(less|lower|below)",
            r"tip.{0,40}(above|higher|greater).{0,20}(fee|cap)",
            r"max.?priority.?fee.?per.?gas.{0,20}(higher|greater|above|exceeds)",
            r"replacement ?not ?allowed",
            r"exceeds the configured cap",
            r"gas_price_(too_low|below)",
            # gas
            r"intrinsic",
            r"gas.{0,20}too high",
            r"exceeds.{0,10}(block )?gas.?limit",
            r"gas.?limit.?exceeded",
            r"gas limit reached",
            r"floor data gas",
            r"gas required exceeds",
            # identity
            r"invalid chain.?id",
            r"wrong.chain.?id",
            r"chain.?id.{0,20}(mismatch|does not match|invalid)",
            r"invalid sender",
            r"eip-?155",
            r"replay.protect",
            r"invalid.{0,20}signature",
            r"sender.{0,5}(is)?.{0,5}(not an eoa|contract)",
            # form
            r"^invalid$",
            r"oversized data",
            r"max_?tx_?size_?exceeded",
            r"transaction.type.{0,10}not supported",
            r"unsupported transaction type",
            r"\brlp\b",
            r"failed to decode",
            r"int256overflow",
            r"initcode",
            # room
            r"nonce.{0,10}too[ _](high|distant)",
            r"nonce ?gap",
            r"(tx|transaction) ?pool is full",
            r"txpool(\.| is)full",
            r"account.{0,20}limit exceeded",
            r"ownnoncealreadyused",
            r"exceeds max transaction gas",
        ),
        SendOutcome.REFUSED,
    ),
)

# Refusals that neither time, funds nor other transactions change: the bytes themselves break a rule of the chain
_FOR_GOOD: Final = _row(
    r"intrinsic",
    r"floor data gas",
    r"exceeds.{0,10}block.?gas.?limit",
    r"gas.?limit.?exceeded",
    r"(exceeds|above).{0,20}max(imum)? transaction gas",
    r"gas_limit.?cap",
    r"gas.?limit.{0,20}(cap|too high)",
    r"tip.{0,40}(above|higher|greater).{0,20}(fee|cap)",
    r"max.?priority.?fee.?per.?gas.{0,20}(higher|greater|above|exceeds)",
    r"chain.?id",
    r"invalid sender",
    r"eip-?155",
    r"replay.protect",
    r"invalid.{0,20}signature",
    r"oversized data",
    r"max_?tx_?size_?exceeded",
    r"transaction.type.{0,10}not supported",
    r"unsupported transaction type",
    r"\brlp\b",
    r"failed to decode",
    r"int256overflow",
    r"initcode",
)

# Longer answers are nobody's error message; regular expressions are not run over them
_MAX_MESSAGE: Final = 2_000
# EIP-1474 "limit exceeded", and what providers use for it
_TRANSIENT_CODES: Final = frozenset({-32005, 429})


def is_for_good(message: str) -> bool:
    """Does a refusal say that no node will ever take these bytes?"""
    return _FOR_GOOD.search(message[:_MAX_MESSAGE]) is not None


def classify(code: int, message: str) -> SendOutcome:
    """The outcome that a JSON-RPC error of eth_sendRawTransaction stands for; UNKNOWN unless the wording is known."""
    if code in _TRANSIENT_CODES:
        return SendOutcome.UNKNOWN
    text = message[:_MAX_MESSAGE].strip()
    for pattern, outcome in _TABLE:
        if pattern.search(text):
            return outcome
    return SendOutcome.UNKNOWN
