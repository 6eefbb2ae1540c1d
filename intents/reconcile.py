"""Follow every transaction to its final block: one wallet at a time, from the chain's nonce upwards.

Everything is found again in PostgreSQL and on the chain at every pass, so that it does not matter who died when; rows
change only by conditional updates. One wallet's or one chain's trouble stops no other.
"""

import logging

from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError

from chains.chain import Chain
from chains.defaults import ANVIL
from chains.errors import RpcError, RpcUnavailable, Unreadable, WrongChain
from chains.rpc import ChainClient
from intents import entries, settle
from intents.fill_ahead import fill_ahead
from intents.follow import follow
from intents.gone import gone
from intents.head import Head, head
from intents.resend import resend
from intents.searches import Searches
from intents.wallets import read as tracked_nonce
from vault.context import Context
from vault.networks.service import load_chain

log = logging.getLogger(__name__)

MAX_WALLETS = 200
_SEARCHES = Searches()

_WALLETS = text("""
    SELECT w.chain_id, w.address FROM wallets w
    WHERE EXISTS (SELECT 1 FROM transactions t WHERE t.chain_id = w.chain_id
                  AND t.wallet_address = w.address AND t.final_at IS NULL)
    ORDER BY w.reconciled_at NULLS FIRST LIMIT :max_wallets
""")

# before the work, so that a wallet that makes trouble is not first in line for ever
_TOUCH = text("""
    UPDATE wallets SET reconciled_at = clock_timestamp() WHERE chain_id = :chain_id AND address = :address
""")


async def reconcile(context: Context) -> int:
    """One pass over the wallets with open transactions, at most `MAX_WALLETS`; returns how many were looked at."""
    async with context.database.statements() as connection:
        wallets = list(await connection.execute(_WALLETS, {"max_wallets": MAX_WALLETS}))
        # disabled and removed chains too: what was signed is seen through
        chains = {chain_id: await load_chain(connection, chain_id) for chain_id in {row[0] for row in wallets}}
    unreachable: set[int] = set()
    for chain_id, address in wallets:
        async with context.database.statements() as connection:
            await connection.execute(_TOUCH, {"chain_id": chain_id, "address": address})
        chain = chains[chain_id]
        if chain is None or chain_id in unreachable:
            continue
        try:
            await reconcile_wallet(context, chain, bytes(address))
        except (RpcUnavailable, WrongChain) as error:
            log.warning("chain %s: %s", chain.name, error)
            if not isinstance(error, Unreadable):
                unreachable.add(chain_id)
        except RpcError as error:
            log.warning("chain %s, wallet 0x%s: %s", chain.name, bytes(address).hex(), error)
        except (OperationalError, InterfaceError):
            raise  # no database, no work
        except Exception:
            log.exception("chain %s, wallet 0x%s", chain.name, bytes(address).hex())
    return len(wallets)


async def reconcile_wallet(context: Context, chain: Chain, address: bytes) -> None:
    """Bring one wallet's open transactions in line with the chain.

    What was not sent yet is sent whatever became of the rest: no answer about one transaction may hold up another.
    """
    client = context.chains.for_chain(chain)
    now = await head(client, chain, address)
    trouble: Exception | None = None
    try:
        if now.mined_nonce is not None:
            await _look(context, chain, client, address, now, now.mined_nonce)
    except (OperationalError, InterfaceError, WrongChain):
        raise  # nothing is sent to another chain
    except Exception as error:  # noqa: BLE001 - raised below
        trouble = error
    waiting = await entries.waiting(context.database, chain.chain_id, address, now.mined_nonce or 0)
    await resend(context, client, now.mined_nonce, waiting)
    if trouble is not None:
        raise trouble


async def _look(
    context: Context, chain: Chain, client: ChainClient, address: bytes, now: Head, mined_nonce: int
) -> None:
    """See what the chain took back, and what became of the nonces that it has used."""
    database, chain_id = context.database, chain.chain_id
    local = chain_id == ANVIL.chain_id
    lost = await settle.beyond(database, chain_id, address, mined_nonce, with_final=local)
    async with database.statements() as connection:
        behind = local and await tracked_nonce(connection, chain_id, address) > mined_nonce
    if lost or behind:
        # a chain that began anew has none of our blocks either: nothing that was paid on the old one is sent again
        await client.verify_chain()
    for row in lost:
        if await gone(client, chain, row.block_number, bytes(row.block_hash)):
            log.warning("transaction %s: the chain lost its block; sending it again", row.id)
            await settle.unmine(database, row.agent_id, row.id)
    if local:
        # only the local chain loses final blocks (a kill between two saves of its state), fillers' included
        await settle.reopen_given_up(database, chain_id, address, mined_nonce)
    used = await entries.used(database, chain_id, address, mined_nonce)
    await follow(context, chain, client, address, now, used, _SEARCHES)
    await fill_ahead(context, chain, client, address, mined_nonce)
