"""When the newest blocks of the external chains were made, as their nodes say: other people's clocks."""

import asyncio
from collections.abc import Sequence
from typing import Final

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcError
from chains.quantities import COUNT_BITS, quantity
from chains.rpc import ChainClient
from vault.context import Context
from vault.networks.repository import enabled
from vault.networks.service import chain_of

MAX_CHAINS: Final = 50
PATIENCE_S: Final = 8.0


async def external(context: Context) -> list[ChainClient]:
    """Every endpoint of the enabled chains that somebody else runs: the local one has this host's clock."""
    async with context.database.statements() as connection:
        chains = [chain_of(row) for row in await enabled(connection, MAX_CHAINS)]
    return [endpoint for chain in chains if not _is_own(context, chain) for endpoint in _endpoints(context, chain)]


async def newest(endpoints: Sequence[ChainClient]) -> list[float]:
    """The times of their newest blocks, in seconds since 1970; nothing from one that does not answer in time."""
    asked = [asyncio.create_task(_newest(endpoint)) for endpoint in endpoints]
    done, late = await asyncio.wait(asked, timeout=PATIENCE_S) if asked else (set(), set())
    for task in late:
        task.cancel()
    return [at for task in done if (at := task.result()) is not None]


async def _newest(endpoint: ChainClient) -> float | None:
    try:
        block = await endpoint.call("eth_getBlockByNumber", ["latest", False])
        return float(quantity(block.get("timestamp"), COUNT_BITS)) if isinstance(block, dict) else None
    except RpcError:
        return None


def _endpoints(context: Context, chain: Chain) -> Sequence[ChainClient]:
    try:
        return context.chains.for_chain(chain).each()
    except RpcError:
        return ()  # nobody has named one


def _is_own(context: Context, chain: Chain) -> bool:
    return context.options.owns_local_chain and chain.chain_id == ANVIL.chain_id
