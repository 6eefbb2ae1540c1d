"""Find the transactions of wallets on their chain, every endpoint in turn, within the calls that are stated."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chains.chain import Chain
from chains.errors import NoEndpoint, RpcError
from chains.hexdata import format_data
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient
from chains.sent import Sent
from chains.sent_search import Steps, walk_back
from vault.context import Context

log = logging.getLogger(__name__)

# of one wallet the newest so many are looked for; who has more enters an amount for the others
MAX_NONCES: Final = 500
# an endpoint's whole search for one page of wallets
SEARCH_S: Final = 180.0
# hashes in one exchange
AT_ONCE: Final = 100


@dataclass
class Sought:
    """A wallet's nonces that are still to be found, what was found, and how many calls that took."""

    address: bytes
    missing: set[int]
    found: dict[int, Sent] = field(default_factory=dict)
    calls: int = 0


async def search(context: Context, chain: Chain, sought: Mapping[bytes, Sought]) -> None:
    """Look by each endpoint until nothing is missing; what none shows stays so."""
    try:
        endpoints = context.chains.for_chain(chain).each()
    except NoEndpoint:
        return
    for endpoint in endpoints:
        if not any(each.missing for each in sought.values()):
            return
        try:
            async with asyncio.timeout(SEARCH_S):
                await _by(endpoint, sought)
        except (RpcError, TimeoutError) as error:
            log.info("chain %s: an endpoint does not show what was sent: %s", chain.name, error)


async def _by(endpoint: ChainClient, sought: Mapping[bytes, Sought]) -> None:
    head = quantity(await endpoint.call("eth_blockNumber", []), COUNT_BITS)
    for each in sought.values():
        if not each.missing:
            continue
        # by its name: a node without any older state still answers
        latest, count = await endpoint.batch(
            [("eth_blockNumber", []), ("eth_getTransactionCount", [format_data(each.address), "latest"])]
        )
        steps = Steps(endpoint, each.address, quantity(latest, COUNT_BITS), quantity(count, COUNT_BITS))
        try:
            _take(each, await steps.find(each.missing))
        finally:
            each.calls += steps.calls + 1
    left = {each.address: set(each.missing) for each in sought.values() if each.missing}
    if left:
        for (address, nonce), sent in (await walk_back(endpoint, head, left)).items():
            _take(sought[address], {nonce: sent})


def _take(sought: Sought, found: Mapping[int, Sent]) -> None:
    sought.found.update(found)
    sought.missing -= found.keys()


async def has_receipt(context: Context, chain: Chain, hashes: list[bytes]) -> set[bytes]:
    """Those of our own transactions that an endpoint has in a block."""
    if not hashes:
        return set()
    try:
        answers: list[Any] = await context.chains.for_chain(chain).batch(
            [("eth_getTransactionReceipt", [format_data(each)]) for each in hashes]
        )
    except RpcError as error:
        log.info("chain %s: no receipts: %s", chain.name, error)
        return set()
    return {
        tx_hash
        for tx_hash, answer in zip(hashes, answers, strict=True)
        if isinstance(answer, dict)
        and answer.get("blockNumber") is not None
        and str(answer.get("transactionHash")).lower() == format_data(tx_hash)
    }


async def known_to_a_node(context: Context, chain: Chain, hashes: list[bytes]) -> set[bytes]:
    """Those of our own transactions that an endpoint has, in a block or in its pool; pools differ: all are asked."""
    try:
        endpoints = context.chains.for_chain(chain).each() if hashes else ()
    except NoEndpoint:
        return set()
    found: set[bytes] = set()
    for endpoint in endpoints:
        try:
            for first in range(0, len(hashes), AT_ONCE):
                part = hashes[first : first + AT_ONCE]
                answers = await endpoint.batch([("eth_getTransactionByHash", [format_data(each)]) for each in part])
                found |= {
                    tx_hash
                    for tx_hash, answer in zip(part, answers, strict=True)
                    if isinstance(answer, dict) and str(answer.get("hash")).lower() == format_data(tx_hash)
                }
        except RpcError as error:
            log.info("chain %s: an endpoint does not say what is in its pool: %s", chain.name, error)
    return found
