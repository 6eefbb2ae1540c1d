"""What signing needs to know of the chain about one account, in one exchange."""

from dataclasses import dataclass
from typing import Any, Final

from chains.errors import RpcRefused, RpcUnavailable
from chains.fees import FeeQuote
from chains.hexdata import format_data
from chains.quantities import AMOUNT_BITS, COUNT_BITS, PRICE_BITS, quantity
from chains.rpc import ChainClient

# Paid as a tip where the node does not suggest one: 1 gwei gets a transaction into a block on every chain we seed
DEFAULT_TIP_WEI: Final = 10**9


@dataclass(frozen=True, slots=True)
class Quote:
    """An account's nonces and balance (wei) and the chain's prices, from one endpoint at one moment.

    `pending_nonce` counts the node's pool, `mined_nonce` only blocks.
    """

    pending_nonce: int
    mined_nonce: int
    balance: int
    fee_quote: FeeQuote


async def quote(client: ChainClient, address: bytes) -> Quote:
    """Ask for everything in ONE batch; RpcError when the node does not answer or not with what was asked."""
    account = format_data(address)
    pending, mined, balance, block, gas_price, tip = await client.batch(
        [
            ("eth_getTransactionCount", [account, "pending"]),
            ("eth_getTransactionCount", [account, "latest"]),
            ("eth_getBalance", [account, "latest"]),
            ("eth_feeHistory", ["0x1", "latest", []]),
            ("eth_gasPrice", []),
            ("eth_maxPriorityFeePerGas", []),
        ]
    )
    base_fee = _next_base_fee(block)
    price = quantity(gas_price, PRICE_BITS)
    return Quote(
        pending_nonce=quantity(pending, COUNT_BITS),
        mined_nonce=quantity(mined, COUNT_BITS),
        balance=quantity(balance, AMOUNT_BITS),
        fee_quote=FeeQuote(base_fee=base_fee, gas_price=price, priority_fee=_tip(tip)),
    )


def _next_base_fee(history: Any) -> int | None:
    # eth_feeHistory names the base fee of the block after the newest: the one our transaction meets first
    if isinstance(history, RpcRefused):
        # a chain without EIP-1559 does not know the method; anything else is a refusal
        if history.code in (-32601, -32602):
            return None
        raise history
    if not isinstance(history, dict | None):
        raise RpcUnavailable("the node's fee history cannot be read")
    fees = history.get("baseFeePerGas") if history else None
    if fees is None or fees == []:
        return None
    if not isinstance(fees, list):
        raise RpcUnavailable("the node's fee history cannot be read")
    # go-ethereum answers zeros where EIP-1559 is not active; a chain that charges nothing takes legacy prices too
    return quantity(fees[-1], PRICE_BITS) or None


def _tip(answer: Any) -> int:
    if isinstance(answer, RpcRefused):
        return DEFAULT_TIP_WEI
    return quantity(answer, PRICE_BITS)
