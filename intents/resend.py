"""Send again, in nonce order, what no node took, and what the node has lost since."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from chains.nonces import SLACK
from chains.rpc import ChainClient, SendOutcome
from intents import broadcast
from intents.entries import Entry
from vault.context import Context
from vault.restores import gate as restored

_NAME_HOLE = text("""
    UPDATE transactions SET error_message = :message
    WHERE id = :id AND final_at IS NULL AND given_up_at IS NULL AND chain_reset_at IS NULL
      AND error_message IS DISTINCT FROM :message
""")


async def resend(context: Context, client: ChainClient, mined_nonce: int | None, entries: list[Entry]) -> None:
    """The worker's half of broadcasting: stored bytes only, from the chain's nonce upwards (None: not known)."""
    entries = [entry for entry in entries if entry.to_send is not None]
    if not entries:
        return
    async with context.database.statements() as connection:
        if await restored.find(connection) is not None:
            # these bytes may have been given up, or displaced, after this copy was made
            return
    if mined_nonce is not None and entries[0].nonce > mined_nonce:
        await _name_hole(context, entries[0], mined_nonce)
    waiting = [entry.to_send for entry in entries]
    lost = await _lost(client, [each for each in waiting if each.sent and each.stale])
    for attempt in waiting:
        if not attempt.ours or (attempt.sent and attempt.attempt_id not in lost):
            continue
        result = await client.send_raw(bytes(attempt.raw))
        if attempt.kind == "filler":
            await broadcast.record_sent(context.database, attempt.attempt_id, result)
        else:
            await broadcast.record(context.database, attempt.id, attempt.attempt_id, result)
        if result.outcome is SendOutcome.UNKNOWN:
            return  # the chain does not answer; the rest would wait for it in vain


async def _lost(client: ChainClient, attempts: list[Any]) -> set[UUID]:
    if not attempts:
        return set()
    answers = await client.batch(
        [("eth_getTransactionByHash", [f"0x{bytes(each.tx_hash).hex()}"]) for each in attempts]
    )
    return {each.attempt_id for each, answer in zip(attempts, answers, strict=True) if answer is None}


async def _name_hole(context: Context, entry: Entry, mined_nonce: int) -> None:
    # No transaction of ours has that nonce: one that came from elsewhere was counted as pending and is gone
    if entry.nonce - mined_nonce > SLACK:
        message = (
            f"Waiting: {entry.nonce - mined_nonce} nonces from {mined_nonce} on come first, and no transaction here"
            " has them. An owner or admin of the organisation can resynchronise the wallet."
        )
    else:
        message = (
            f"Waiting: nonce {mined_nonce} comes first, and no transaction here has it."
            f" A submission with nonce {mined_nonce} fills the hole."
        )
    async with context.database.statements() as connection:
        await connection.execute(_NAME_HOLE, {"id": entry.id, "message": message})
