"""What a node's JSON-RPC error is about: the call itself, or only this node. [pure]

Only the first is an answer. Codes are reused freely, so the words decide where they are known; what nobody knows may
be this node's own trouble, and the next endpoint is asked.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from chains.errors import RpcRefused
from chains.reverts import clean, is_revert
from chains.send_errors import SendOutcome, classify


class About(Enum):
    """Whom to believe, and whom to ask next."""

    # the call was looked at: every other node would say the same
    CALL = "call"
    # this node does not offer the method, or not with these parameters
    METHOD = "method"
    # it lets us do nothing now: rate limits, credentials
    ENDPOINT = "endpoint"
    # internal errors, missing state, and whatever we have no row for
    UNCLEAR = "unclear"


_MAX_MESSAGE: Final = 500
# providers quote the address they were asked at, and keys sit in addresses
_ADDRESS = re.compile(r"\b(?:https?|wss?)://\S+", re.IGNORECASE)
# EIP-1474 "limit exceeded", HTTP's, and what providers use for "too fast" and "who are you"
_ENDPOINT_CODES: Final = frozenset({-32005, -32007, -32016, -32029, -32097, 401, 402, 403, 429})
_ALWAYS_ENDPOINT: Final = frozenset({-32005, 429})
_ENDPOINT = re.compile(
    r"unauthori[sz]ed|forbidden|access denied|not authenticated|authenticat"
    r"|(api|project|access).?(key|id|token)|must be authenticated|whitelist|allow ?list"
    r"|rate.?limit|too many requests|requests? limit|quota|compute units|capacity exceeded|request count exceeded",
    re.IGNORECASE,
)
# EIP-1474's codes, and what nodes make of them
_NO_METHOD: Final = -32601
_METHOD_CODES: Final = frozenset({_NO_METHOD, -32602, -32004})
_METHOD = re.compile(
    r"(method|simulate).{0,60}(not found|not exist|not supported|not available|not implemented|not allowed|unknown"
    r"|disabled|not whitelisted|unavailable)"
    r"|(unsupported|unknown|unrecogni[sz]ed|no such) method",
    re.IGNORECASE,
)
_BATCH = re.compile(r"batch|array|too many (calls|requests in)|list of (calls|requests)", re.IGNORECASE)
# a list instead of an object is no request, or cannot be parsed, to a node that takes no batches
_BATCH_CODES: Final = frozenset({-32600, -32601, -32602, -32603, -32700})
_NO_FINAL = re.compile(
    r"finali[sz]ed.{0,30}(not found|not supported|not available|unknown)|unknown block"
    r"|block.{0,20}(tag|param|identifier)|\btag\b",
    re.IGNORECASE,
)
# "finalized block not found", "Unknown block": a node that knows the tag says so too, before its first final block
_NONE_YET_CODE: Final = -39001
_NONE_YET = re.compile(
    r"\b(finali[sz]ed|block|header)\b.{0,40}(not found|not available|unavailable|not exist|n't exist)"
    r"|\b(no|unknown|missing) (finali[sz]ed )?(block|header)\b(?!.{0,20}(tag|param|identifier))|\bsync"
    r"|(?<!supported )(?<!implemented )\byet\b(?! (supported|implemented))",
    re.IGNORECASE,
)
_NO_TAG = re.compile(
    r"(unsupported|invalid|unknown|unrecogni[sz]ed).{0,40}(tag|param|identifier|finali[sz]ed)"
    r"|(tag|param|identifier|finali[sz]ed).{0,40}(unsupported|not supported|invalid|unknown|unrecogni[sz]ed"
    r"|not recogni[sz]ed|not allowed)",
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(r"pending|block.{0,20}(tag|number|param|identifier)|\btag\b", re.IGNORECASE)


def without_addresses(text: str) -> str:
    """The text without anything that reads like an endpoint's address: keys of providers sit in those."""
    return _ADDRESS.sub("(address)", text)


def about(refused: RpcRefused) -> About:
    """What the error is about; a word of a contract ("execution reverted: Unauthorized") is about the call."""
    if refused.code in _ALWAYS_ENDPOINT:
        return About.ENDPOINT
    if is_revert(refused.code, refused.message, refused.data):
        return About.CALL
    # "method … is not whitelisted" is about the method
    if lacks_method(refused):
        return About.METHOD
    if _ENDPOINT.search(refused.message):
        return About.ENDPOINT
    if classify(refused.code, refused.message) is not SendOutcome.UNKNOWN:
        return About.CALL
    return About.ENDPOINT if refused.code in _ENDPOINT_CODES else About.UNCLEAR


def lacks_method(refused: RpcRefused) -> bool:
    """Does the node refuse because it does not offer the method, or not with these parameters?"""
    if is_revert(refused.code, refused.message, refused.data):
        return False
    return _METHOD.search(refused.message) is not None or (
        refused.code in _METHOD_CODES and classify(refused.code, refused.message) is SendOutcome.UNKNOWN
    )


def dislikes_pending(refused: RpcRefused) -> bool:
    """May the node refuse because it knows no block called `pending`?"""
    return about(refused) is not About.CALL and _BLOCK_TAG.search(refused.message) is not None


def lacks_final_tag(refused: RpcRefused) -> bool:
    """Does the node say that it does not offer the `finalized` tag, or the method? One that only starts does not.

    Words that a node has for both are taken for the second: nothing is final then, until it names a block.
    """
    if not names_no_final_block(refused) or refused.code == _NONE_YET_CODE:
        return False
    # by JSON-RPC that code has no other meaning
    if refused.code != _NO_METHOD and _NONE_YET.search(refused.message) is not None:
        return False
    return lacks_method(refused) or _NO_TAG.search(refused.message) is not None


def names_no_final_block(refused: RpcRefused) -> bool:
    """Does the node refuse for want of a block called `finalized`, now or for good, not for a limit or a fault?"""
    if about(refused) in (About.CALL, About.ENDPOINT):
        return False
    return lacks_method(refused) or _NO_FINAL.search(refused.message) is not None


def may_be_the_batch(refused: RpcRefused) -> bool:
    """May a list of calls have been refused because it is one, or too long? Fewer calls at once may pass."""
    if _BATCH.search(refused.message):
        return True
    return refused.code in _BATCH_CODES and about(refused) is not About.ENDPOINT


def refusal_in(answer: Any) -> RpcRefused | None:
    """The error of an answer, or None when it holds none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str) and error:
        # gateways in front of a node write plain words
        error = {"message": error}
    return _refusal(error) if isinstance(error, dict) else None


def _refusal(error: Mapping[str, Any]) -> RpcRefused:
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    if isinstance(data, dict):
        # some nodes wrap the revert bytes once more
        data = data.get("data")
    words = clean("" if message is None else str(message), _MAX_MESSAGE) or "no message"
    return RpcRefused(
        code if isinstance(code, int) and not isinstance(code, bool) else 0,
        without_addresses(words),
        without_addresses(data) if isinstance(data, str) else None,
    )
