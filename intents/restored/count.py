"""Take what was found into the rolling window of every agent that may have paid it; amounts that a human enters too.

Counting twice changes nothing. Nothing can be signed meanwhile while the copy is frozen; behind that, an amount that
is entered only lessens what counted as full.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address, parse_address
from intents.restored.replies import CountRequest, EnteredAmount
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.clock.now import LATEST_NOW
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import conflict, not_found
from vault.networks.service import find_chain

_NEWEST = text("SELECT * FROM restores ORDER BY found_at DESC LIMIT 1 FOR UPDATE")
# as a chain was called when it was listed: it may be gone by now
_LISTED_AS = text("""
    SELECT chain_id FROM restored_transactions WHERE :chain IN (chain, CAST(chain_id AS text)) LIMIT 1
""")
# of the newest restore that misses it: an amount that an earlier one misses still fills windows
_ENTER = text("""
    UPDATE restored_transactions
    SET value_wei = CAST(:value_wei AS numeric), entered_at = clock_timestamp(), entered_by = :by
    WHERE id = (SELECT t.id FROM restored_transactions t JOIN restores r ON r.id = t.restore_id
                WHERE t.chain_id = :chain_id AND t.address = :address AND t.nonce = :nonce AND t.tx_hash IS NULL
                ORDER BY t.value_wei IS NULL DESC, r.found_at DESC LIMIT 1)
    RETURNING id, chain
""")
# a block's time is its own node's word: one in the future would count for longer than any that is mined now
_COUNT = text(f"""
    INSERT INTO restored_spend AS s (transaction_id, agent_id, value_wei, counted_from)
    SELECT t.id, agent_id, t.value_wei, LEAST(COALESCE(t.block_at, {LATEST_NOW}), {LATEST_NOW})
    FROM restored_transactions t, unnest(t.agents) AS agent_id
    WHERE t.restore_id = :restore_id OR t.id = ANY(:entered)
    ON CONFLICT (transaction_id, agent_id) DO UPDATE SET value_wei = excluded.value_wei
    WHERE s.value_wei IS DISTINCT FROM excluded.value_wei
""")  # noqa: S608 - made of a constant
_COUNTED = text("""
    UPDATE restores SET counted_at = clock_timestamp() WHERE id = :restore_id AND counted_at IS NULL
""")


@dataclass(frozen=True)
class Counted:
    """How many amounts were taken into windows, or changed there, by this request."""

    restore: AnyRow
    changed: int


async def count(context: Context, caller: Caller, wanted: CountRequest) -> Counted:
    """Do it; 409 before everything is listed, 404 for an amount that nothing is missing for."""
    async with context.database.begin() as connection:
        restore = (await connection.execute(_NEWEST)).first()
        if restore is None:
            raise conflict("This instance was never restored: there is nothing to count.")
        if restore.listed_at is None:
            raise conflict("What this copy does not know is not listed yet (GET /v1/admin/restore); try again then.")
        entered = [await _enter(connection, caller, each) for each in wanted.transactions]
        named = {"restore_id": restore.id, "entered": [each for each, _ in entered]}
        changed = (await connection.execute(_COUNT, named)).rowcount
        await connection.execute(_COUNTED, {"restore_id": restore.id})
        amounts = [amount for _, amount in entered]
        await write_for(connection, caller, "restore.count", "restore", restore.id, counted=changed, entered=amounts)
        return Counted(restore, changed)


async def _enter(connection: AsyncConnection, caller: Caller, entered: EnteredAmount) -> tuple[UUID, dict[str, Any]]:
    chain = await find_chain(connection, entered.chain)
    chain_id = (
        (await connection.execute(_LISTED_AS, {"chain": entered.chain})).scalar() if chain is None else chain.chain_id
    )
    if chain_id is None:
        raise not_found(f"There is no chain {entered.chain}; nothing was counted.")
    address = parse_address(entered.wallet)
    done = await connection.execute(
        _ENTER,
        {
            "chain_id": chain_id,
            "address": address,
            "nonce": entered.nonce,
            "value_wei": int(entered.value_wei),
            "by": caller.id,
        },
    )
    row = done.first()
    if row is None:
        raise not_found(
            f"No amount is missing for nonce {entered.nonce} of {format_address(address)} on {entered.chain}: give"
            " the first nonce of a listed range. Nothing was counted."
        )
    return row.id, {
        "chain": row.chain,
        "wallet": format_address(address),
        "nonce": entered.nonce,
        "value_wei": entered.value_wei,
    }
