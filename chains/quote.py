"""What signing needs to know of the chain about one account, in one exchange."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from chains.errors import RpcError, RpcRefused, Unreadable
from chains.fees import FeeQuote, believed, needs_others
from chains.hexdata import format_data
from chains.quantities import AMOUNT_BITS, COUNT_BITS, PRICE_BITS, quantity
from chains.rpc import ChainClient

log = logging.getLogger(__name__)

# How long an endpoint that did not answer the last time is waited for
OUT_OF_USE_S: Final = 1.5
_PRICES: Final[tuple[tuple[str, list[Any]], ...]] = (
    ("eth_feeHistory", ["0x1", "latest", []]),
    ("eth_getBlockByNumber", ["latest", False]),
    ("eth_gasPrice", []),
    ("eth_maxPriorityFeePerGas", []),
)


@dataclass(frozen=True, slots=True)
class Quote:
    """An account's nonces and balance (wei) and the chain's prices, from one endpoint at one moment.

    `pending_nonce` counts the node's pool, `mined_nonce` only blocks; a node without a pending state
    (`knows_pending`) counts blocks only. `block_gas_limit` is the latest block's, None where the node does not say.
    """

    pending_nonce: int
    mined_nonce: int
    balance: int
    fee_quote: FeeQuote
    block_gas_limit: int | None = None
    knows_pending: bool = True


async def quote(client: ChainClient, address: bytes) -> Quote:
    """Ask for everything in ONE batch; RpcError when the node does not answer or not with what was asked.

    Prices too high to be one endpoint's word alone are asked of all of them.
    """
    account = format_data(address)
    pending, mined, balance, history, latest, gas_price, tip = await client.batch(
        [
            ("eth_getTransactionCount", [account, "pending"]),
            ("eth_getTransactionCount", [account, "latest"]),
            ("eth_getBalance", [account, "latest"]),
            *_PRICES,
        ]
    )
    fees = _fees(_next_base_fee(history, latest), gas_price, tip)
    return Quote(
        pending_nonce=pending_count(pending, mined),
        mined_nonce=quantity(mined, COUNT_BITS),
        balance=quantity(balance, AMOUNT_BITS),
        fee_quote=await _borne_out(client, fees) if needs_others(fees) else fees,
        block_gas_limit=_block_gas_limit(latest),
        knows_pending=not _is_unknown(pending),
    )


async def _borne_out(client: ChainClient, first: FeeQuote) -> FeeQuote:
    """What is to be believed of prices that the first endpoint put so high."""
    endpoints = client.each()
    asked = await asyncio.gather(*(_prices(each) for each in endpoints)) if len(endpoints) > 1 else []
    said = [each for each in asked if each is not None] or [first]
    chosen = believed(said)
    if chosen != first:
        log.warning("chain %d: prices of %s are not believed; %s counts", client.chain_id, first, chosen)
    return chosen


async def _prices(client: ChainClient) -> FeeQuote | None:
    """One endpoint's prices; None where it does not answer with any."""
    try:
        async with asyncio.timeout(None if client.is_sound else OUT_OF_USE_S):
            history, latest, gas_price, tip = await client.batch(_PRICES)
        return _fees(_next_base_fee(history, latest), gas_price, tip)
    except (RpcError, TimeoutError) as error:
        log.info("an endpoint does not say its prices: %s", error)
        return None


def pending_count(pending: Any, mined: Any) -> int:
    """An account's pending count; that of the blocks where the node refuses the tag (what is ours we know ourselves).

    RpcError where neither can be had.
    """
    return quantity(mined if _is_unknown(pending) else pending, COUNT_BITS)


def _is_unknown(answer: Any) -> bool:
    return answer is None or isinstance(answer, RpcRefused)


def _next_base_fee(history: Any, latest: Any) -> int | None:
    """The base fee of the block that our transaction meets first; None on a chain without EIP-1559.

    eth_feeHistory names it. Where that is missing, in whatever words, or cannot be read, the latest block's own is
    near enough: the next one's is at most an eighth away, and caps have room for more.
    """
    named = history.get("baseFeePerGas") if isinstance(history, dict) else None
    if isinstance(named, list) and named:
        try:
            # go-ethereum names zeros where EIP-1559 is not active: then the blocks name none
            if (base_fee := quantity(named[-1], PRICE_BITS)) > 0:
                return base_fee
        except Unreadable:
            named = "unreadable"
    if isinstance(latest, dict) and latest.get("number") is not None:
        base_fee_of_latest = latest.get("baseFeePerGas")
        return None if base_fee_of_latest is None else quantity(base_fee_of_latest, PRICE_BITS)
    if isinstance(history, RpcRefused) or history is None or (isinstance(history, dict) and named in (None, [])):
        # neither is to be had: the one price that every chain has is the plainest
        return None
    raise Unreadable("the node's base fee cannot be read")


def _fees(base_fee: int | None, gas_price: Any, tip: Any) -> FeeQuote:
    """What to pay, by the node's own word: chains differ ten thousandfold in it, so nothing is fixed here."""
    if isinstance(gas_price, RpcRefused) and base_fee is not None and not isinstance(tip, RpcRefused):
        recommended = quantity(tip, PRICE_BITS)
        return FeeQuote(base_fee=base_fee, gas_price=base_fee + recommended, priority_fee=recommended)
    price = quantity(gas_price, PRICE_BITS)
    if isinstance(tip, RpcRefused):
        # a node's gas price is its base fee and what it recommends on top
        return FeeQuote(
            base_fee=base_fee, gas_price=price, priority_fee=max(price - (base_fee or 0), 0), tip_named=False
        )
    return FeeQuote(base_fee=base_fee, gas_price=price, priority_fee=quantity(tip, PRICE_BITS))


def _block_gas_limit(latest: Any) -> int | None:
    limit = latest.get("gasLimit") if isinstance(latest, dict) else None
    try:
        # some chains name none, or one that means nothing
        return quantity(limit, COUNT_BITS) or None
    except Unreadable:
        return None
