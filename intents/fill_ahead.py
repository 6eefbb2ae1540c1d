"""Settle what was signed above the chain's count before the tracker, gone back to the chain, comes by it again.

Those old bytes may lie in somebody's pool. So a filler takes their nonce while it is still ahead of everything that
is given out, and spend that a human freed counts again from then on, until the filler is final.
"""

import logging
from typing import Any
from uuid import UUID

from chains.chain import Chain
from chains.gas import TRANSACTION_GAS
from chains.nonces import AHEAD
from chains.quote import Quote, quote
from chains.rpc import ChainClient
from chains.simulate import transfer_gas
from intents import budget, counts, wallets
from intents.broadcast import record_sent
from intents.give_up import fees_for, filler_for, sign_filler, to_outbid, within_ceiling
from intents.status import IN_FLIGHT
from signer.errors import SignerError
from vault.audit.write import write
from vault.context import Context
from vault.errors import Problem
from vault.restores import gate as restored

log = logging.getLogger(__name__)

# a pass; what is left over waits for the next
MAX_ROWS = 20


async def fill_ahead(context: Context, chain: Chain, client: ChainClient, address: bytes, mined_nonce: int) -> None:
    """Sign fillers for what lies up to `AHEAD` above the tracker; RpcError when the chain names no price."""
    async with context.database.statements() as connection:
        tracked = await wallets.read(connection, chain.chain_id, address)
        ahead = max(tracked, mined_nonce) + AHEAD
        due = await wallets.left_behind(connection, chain.chain_id, address, mined_nonce, ahead, MAX_ROWS)
        if not due or await restored.find(connection) is not None:
            return
    # one endpoint's word would open again, far above the chain, what a human has freed
    proven = await counts.proven(client, address, tracked, mined_nonce)
    now = await quote(client, address)
    gas_limit = await transfer_gas(client, address, otherwise=TRANSACTION_GAS)
    for row in due:
        try:
            filler = await _settle(context, chain, address, now, gas_limit, row, proven)
            if filler is not None:
                # before anything below it is given out: it has to outbid the old bytes in every pool
                await record_sent(context.database, filler[0], await client.send_raw(filler[1]))
        except (Problem, SignerError) as problem:
            # settled meanwhile, too dear at the moment, or no signer: the next pass looks again
            log.info("transaction %s: no filler now: %s", row["id"], problem)


async def _settle(
    context: Context, chain: Chain, address: bytes, now: Quote, gas_limit: int, row: dict[str, Any], proven: int
) -> tuple[UUID, bytes] | None:
    """Commit the filler for one row; returns its attempt and bytes, None where none is needed."""
    async with context.database.begin() as connection:
        await budget.lock(connection, row["agent_id"])
        tracker = await wallets.lock(connection, chain.chain_id, address)
        nonce = row["nonce"]
        if nonce > max(tracker.next_nonce, proven) + AHEAD:
            return None  # not near by more than one endpoint's word
        left = await wallets.left_behind(connection, chain.chain_id, address, nonce, nonce, MAX_ROWS)
        still = next((each for each in left if each["id"] == row["id"]), None)
        if still is None:
            return None  # somebody was faster
        await budget.recount(connection, row["agent_id"], row["id"])
        if still["status"] not in IN_FLIGHT or still["has_filler"]:
            # handed out to be sent by the agent: whatever is given out with this nonce next excludes it; or given up
            # by the agent before, and its filler is being sent
            return None
        outbid = await to_outbid(connection, row)
        filler = filler_for(outbid.original, address, fees_for(outbid, now.fee_quote), gas_limit)
        within_ceiling(chain, filler)
        attempt_id, signed = await sign_filler(context, connection, row, filler, address)
        await write(
            connection,
            org_id=row["org_id"],
            actor_type="system",
            actor_id="talon",
            action="transaction.fill",
            resource_type="transaction",
            resource_id=row["id"],
            details={"nonce": nonce, "filler_hash": f"0x{signed.hash.hex()}"},
        )
    return attempt_id, signed.raw
