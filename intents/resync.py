"""Take a wallet's tracker back to the chain on a human's word, whatever a node made of it before.

The next nonce becomes the first one that neither the chain nor an unbroken row of our own transactions has used. What
was signed above, by every endpoint's count, is given up: it stays recorded and counted and is not sent any more, and
before the tracker comes by its nonce again a filler takes that (`intents.fill_ahead`).
"""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from chains.chain import Chain
from chains.errors import RpcError
from chains.nonces import Counts
from intents import budget, wallet_view, wallets
from intents.engine import Engine
from intents.fill_ahead import fill_ahead
from intents.outside import accounts
from intents.status import IN_FLIGHT
from intents.wallet_replies import ResyncRequest
from vault.audit.write import write, write_for
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import org_admin
from vault.context import Context
from vault.errors import unavailable
from vault.restores import gate as restored

log = logging.getLogger(__name__)

# Bytes whose nonce is further above the chain's cannot be mined in any time that a human looks ahead
FREE_ABOVE = 10_000
MAX_AGENTS = 100

# mined and settled ones are proof of the chain's own count, whatever an endpoint says at the moment
_SETTLED = text("""
    SELECT COALESCE(max(nonce) + 1, 0) FROM transactions
    WHERE chain_id = :chain_id AND wallet_address = :address AND status IN ('mined', 'final', 'failed')
      AND chain_reset_at IS NULL
""")
# later than all that is open, also where the clock was ahead when that was made
_SET = text("""
    UPDATE wallets w SET next_nonce = :next_nonce, resynced_at = GREATEST(clock_timestamp(), (
        SELECT max(created_at) FROM transactions t
        WHERE t.chain_id = w.chain_id AND t.wallet_address = w.address AND t.final_at IS NULL))
    WHERE chain_id = :chain_id AND address = :address
""")
_GIVE_UP = text("""
    UPDATE transactions SET given_up_at = clock_timestamp(),
           error_message = 'Given up: the wallet was resynchronised and this nonce is above the chain''s.'
    WHERE chain_id = :chain_id AND wallet_address = :address AND nonce >= :above_all AND final_at IS NULL
      AND status = ANY(:in_flight) AND given_up_at IS NULL AND chain_reset_at IS NULL
    RETURNING org_id
""")
# open reservations for bytes that are not in a block: far above, or of a chain that was reset
_TO_FREE = """
    FROM transactions t
    WHERE t.id = s.transaction_id AND s.state = 'open' AND s.in_window
      AND t.org_id = :org_id AND t.chain_id = :chain_id AND t.wallet_address = :address
      AND t.final_at IS NULL AND t.block_number IS NULL
      AND (:above AND t.chain_reset_at IS NULL AND t.nonce > :free_above
           AND (t.given_up_at IS NOT NULL OR t.status = 'sign_only')
           OR :reset AND t.chain_reset_at IS NOT NULL)
"""
# before the locks: what has not been given up yet will be
_AGENTS = text("""
    SELECT DISTINCT t.agent_id FROM transactions t JOIN spend_reservations s ON s.transaction_id = t.id
    WHERE t.org_id = :org_id AND t.chain_id = :chain_id AND t.wallet_address = :address
      AND t.final_at IS NULL AND t.block_number IS NULL AND s.state = 'open' AND s.in_window
      AND (:above AND t.chain_reset_at IS NULL AND t.nonce > :free_above
           OR :reset AND t.chain_reset_at IS NOT NULL)
    ORDER BY t.agent_id LIMIT :max_agents
""")
_FREE = text(f"""
    WITH freed AS (
        UPDATE spend_reservations s SET state = 'released', in_window = false {_TO_FREE} AND s.agent_id = :agent_id
        RETURNING s.value_wei
    ), total AS (SELECT count(*) AS freed, COALESCE(sum(value_wei), 0) AS wei FROM freed)
    UPDATE agent_budgets b SET window_wei = b.window_wei - total.wei
    FROM total WHERE b.agent_id = :agent_id RETURNING total.freed, total.wei
""")  # noqa: S608 - put together from constants of this file


@dataclass(frozen=True)
class _Done:
    was: int
    now: int
    given_up: int
    freed: int
    freed_wei: int
    more_to_free: bool


async def resync(
    context: Context, engine: Engine, caller: Caller, chain: Chain, address: bytes, wanted: ResyncRequest
) -> dict[str, Any]:
    """Do it, and return the fields of a `ResyncReply`; 404 without the key, 503 when no endpoint names the count."""
    async with context.database.statements() as connection:
        await wallet_view.require_key(connection, caller.org_id, address)
    said = await wallet_view.endpoints(context, chain, address)
    answered = [each for each in said if each is not None]
    if not answered:
        raise unavailable(f"No endpoint of {chain.name} names the wallet's nonces now; nothing was changed.")
    async with engine.queue.turn(chain.chain_id, address), context.database.begin() as connection:
        done = await _go_back(connection, caller, chain, address, answered, wanted)
    try:
        # what lies close above is settled right away; the worker sees to the rest, and to what fails here
        await fill_ahead(
            context, chain, context.chains.for_chain(chain), address, min(each.mined for each in answered)
        )
    except RpcError as error:
        log.info("chain %s, wallet %s: no fillers yet: %s", chain.name, format_address(address), error)
    async with context.database.statements() as connection:
        shown = await wallet_view.show(connection, caller.org_id, chain, address, said)
    return shown | {
        "was_next_nonce": done.was,
        "given_up": done.given_up,
        "freed": done.freed,
        "freed_wei": str(done.freed_wei),
        "more_to_free": done.more_to_free,
    }


async def _go_back(
    connection: AsyncConnection,
    caller: Caller,
    chain: Chain,
    address: bytes,
    said: list[Counts],
    wanted: ResyncRequest,
) -> _Done:
    named: dict[str, Any] = {"chain_id": chain.chain_id, "address": address}
    own = named | {"org_id": caller.org_id}
    # 1. Locks in their order: the agents' budgets, then the wallet.
    #    What no endpoint says can be near is freed; what is settled meanwhile only raises the bound below.
    highest = max(each.next for each in said)
    freeing = own | {"above": wanted.free_signed_above, "reset": wanted.free_reset_chain}
    settled = int((await connection.execute(_SETTLED, named)).scalar_one())
    agents, more = await _lock_budgets(connection, freeing | {"free_above": max(settled, highest) + FREE_ABOVE})
    tracker = await wallets.lock(connection, chain.chain_id, address)
    # an office or credential that was lost while this waited counts no more
    await org_admin(await still(connection, caller))
    # what the lost part sent is listed first: by this it would be accounted for, and count in no window
    await restored.require_open(connection, binding=True)
    # 2. The tracker goes by the lowest word: too low is mended by the next quote, too high is what people come here
    #    for. But what one endpoint that lags or lies says is no reason to give up what goes on from another's count.
    settled = int((await connection.execute(_SETTLED, named)).scalar_one())
    free = [
        await wallets.first_free(connection, chain.chain_id, address, base)
        for base in sorted({max(each.mined, settled) for each in said})
    ]
    next_nonce, above_all = free[0], max(free)
    await connection.execute(_SET, named | {"next_nonce": next_nonce})
    # what was used elsewhere is accounted for by this; where the key was born here, that takes a word of its own
    await accounts.lift(connection, chain.chain_id, address, max(each.mined for each in said), also_born=False)
    given_up = list(
        (await connection.execute(_GIVE_UP, named | {"above_all": above_all, "in_flight": list(IN_FLIGHT)})).scalars()
    )
    # 3. Free it, of the caller's own organisation.
    freed = freed_wei = 0
    for agent_id in agents:
        found = await connection.execute(
            _FREE,
            freeing | {"agent_id": agent_id, "free_above": max(settled, highest) + FREE_ABOVE},
        )
        row = found.one()
        freed, freed_wei = freed + row.freed, freed_wei + int(row.wei)
    done = _Done(tracker.next_nonce, next_nonce, len(given_up), freed, freed_wei, more)
    await _audit(connection, caller, chain, address, done, set(given_up))
    return done


async def _lock_budgets(connection: AsyncConnection, freeing: dict[str, Any]) -> tuple[list[UUID], bool]:
    """Lock the budgets of agents that have something to free; are there more than `MAX_AGENTS`?"""
    agents = list((await connection.execute(_AGENTS, freeing | {"max_agents": MAX_AGENTS + 1})).scalars())
    for agent_id in agents[:MAX_AGENTS]:
        await budget.lock(connection, agent_id)
    return agents[:MAX_AGENTS], len(agents) > MAX_AGENTS


async def _audit(
    connection: AsyncConnection, caller: Caller, chain: Chain, address: bytes, done: _Done, orgs: set[UUID]
) -> None:
    wallet = f"{chain.chain_id}:{format_address(address)}"
    details = {"chain": chain.name, "was_next_nonce": done.was, "next_nonce": done.now}
    await write_for(
        connection,
        caller,
        "wallet.resync",
        "wallet",
        wallet,
        **details,
        given_up=done.given_up,
        freed=done.freed,
        freed_wei=str(done.freed_wei),
    )
    for org_id in sorted(orgs - {caller.org_id}):
        # the same key lies there too: they see that it happened, not who did it
        await write(
            connection,
            org_id=org_id,
            actor_type="system",
            actor_id="talon",
            action="wallet.resync",
            resource_type="wallet",
            resource_id=wallet,
            details=details,
        )
