"""Which block each chain began with: written down on first sight, and looked at again on the local chain.

Every endpoint is held against it before anything is asked of it (`chains.endpoint`). Only the local chain, which is
Talon's own, may say by itself that it was reset; of any other the platform's admin says so (`intents.reset_router`).
"""

import asyncio

from sqlalchemy import text

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcError, WrongGenesis
from chains.rpc import ChainClient
from intents.reset import reset
from vault.context import Context
from vault.networks import repository
from vault.networks.service import chain_of, load_chain

# whether a chain in use is not known yet, in SQL
IS_DUE = """EXISTS (
    SELECT FROM chains c WHERE c.genesis_hash IS NULL AND EXISTS (SELECT FROM wallets w WHERE w.chain_id = c.chain_id)
)"""

# without a wallet there is nothing to keep apart; distinct over the index's first column
_USED = text("SELECT DISTINCT chain_id FROM wallets")


async def first_sight(context: Context) -> None:
    """Write down the first block of the chains in use of which it is not known yet."""
    async with context.database.statements() as connection:
        used = list((await connection.execute(_USED)).scalars())
        new = [chain_of(row) for row in await repository.without_genesis(connection, used)]
    await asyncio.gather(*(_see(context, chain) for chain in new))


async def _see(context: Context, chain: Chain) -> None:
    try:
        endpoints = context.chains.for_chain(chain).each()
    except RpcError:
        return  # no endpoint: nothing was seen yet
    named = {block for blocks in await asyncio.gather(*map(_named, endpoints)) for block in blocks}
    if len(named) == 1:  # where they contradict each other, none is the first sight
        async with context.database.begin() as connection:
            await repository.set_genesis(connection, chain.chain_id, None, named.pop())


async def _named(endpoint: ChainClient) -> list[bytes]:
    """The first block by an endpoint that serves the right id; nothing by any other."""
    try:
        await endpoint.verify_chain()
        return [block for block in await endpoint.geneses() if block is not None]
    except RpcError:
        return []


async def watch_local(context: Context) -> None:
    """See whether the local chain is the one that it was; go over to the new one if not."""
    if not context.options.owns_local_chain:
        return
    async with context.database.statements() as connection:
        chain = await load_chain(connection, ANVIL.chain_id)
    if chain is None or chain.genesis_hash is None:
        return
    client = context.chains.for_chain(chain)
    try:
        await client.verify_chain()
        return
    except WrongGenesis:
        (found,) = await client.geneses()
    except RpcError:
        return  # it does not run at the moment
    if found is not None:
        async with context.database.begin() as connection:
            await reset(connection, chain, found, None)
