"""Give a transaction up: settle its nonce with a filler, so that it never jams the wallet.

A filler is a zero-value transfer of the wallet to itself with the nonce of our own transaction. No allowlist,
cap or freeze stops it, only the ceiling on gas: it moves nothing, and without it the wallet would stand still.
The transaction becomes `failed` when the filler (or anything else with its nonce) is final; if its own bytes are
mined first, it was mined.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.build import build
from chains.chain import Chain
from chains.fees import DynamicFees, FeeQuote, FeeRequest, LegacyFees, choose_fees, replacement_fees
from chains.nonces import Counts
from chains.quote import quote
from chains.simulate import transfer_gas
from chains.transactions import Transaction, decode_signed, max_gas_cost, signing_digest
from guardrails.approval import approve_filler
from intents import budget, models, read, view, wallets
from intents.broadcast import outcome_of, record_sent
from intents.counts import path_of, within_reach
from intents.engine import Engine
from intents.sign import sign
from intents.status import IN_FLIGHT, Status
from signer.client import SignedTransaction
from vault.audit.write import write_for
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import org_admin
from vault.clock.now import just_now
from vault.context import Context
from vault.errors import Problem, conflict, not_found
from vault.networks.service import load_chain
from vault.restores import gate as restored

log = logging.getLogger(__name__)

# A filler is given this long to be mined before it may be outbid by another
BUMP_AFTER_S = 30

_ATTEMPTS = text(f"""
    SELECT raw, kind, sent_at IS NOT NULL AS sent,
           {just_now("created_at", ":bump_after_s")} AS young
    FROM attempts WHERE transaction_id = :id ORDER BY created_at
""")  # noqa: S608 - made of a constant

_MARK = text("""
    UPDATE transactions SET given_up_at = clock_timestamp(),
           error_message = 'Given up; a filler transaction is settling its nonce.'
    WHERE id = :id AND status = ANY(:in_flight)
""")


@dataclass(frozen=True)
class GivenUp:
    """What has to be outbid, if any node may have it: the last bytes for the nonce."""

    original: Transaction
    taken: bool


async def give_up(
    context: Context, engine: Engine, caller: Caller, agent_id: UUID, transaction_id: UUID
) -> dict[str, Any]:
    """Sign, commit and send the filler; 409 when there is nothing to give up (any more)."""
    found = await read.one(context, agent_id, transaction_id)
    row = found.row
    async with context.database.statements() as connection:
        await restored.require_open(connection)
        outbid = await to_outbid(connection, row)
        # also a disabled or removed chain: what was signed there is seen through
        chain = await load_chain(connection, row["chain_id"])
    if chain is None:
        raise not_found("The chain of this transaction is no longer known")
    client = context.chains.for_chain(chain)
    address = bytes(row["wallet_address"])
    now = await quote(client, address)
    said = Counts(now.mined_nonce, now.pending_nonce)
    if not await within_reach(context, client, chain, address, row["nonce"], said):
        raise conflict(
            f"This transaction cannot be given up: its nonce {row['nonce']} is far above the {said.mined} that"
            f" {chain.name} has mined, so no filler there would be. An owner or admin of the organisation can"
            f" resynchronise the wallet (POST {path_of(chain, address)}/resync)."
        )
    gas_limit = await transfer_gas(client, address, otherwise=outbid.original.gas_limit)
    filler = filler_for(outbid.original, address, fees_for(outbid, now.fee_quote), gas_limit)
    within_ceiling(chain, filler)
    async with engine.queue.turn(chain.chain_id, address):
        async with context.database.begin() as connection:
            # what a human freed far above the chain: from where a filler can be mined, its old bytes can be
            await budget.recount(connection, row["agent_id"], row["id"])
            await wallets.lock(connection, chain.chain_id, address)
            await _require_still(connection, caller)
            await to_outbid(connection, row)  # nobody may have been faster
            attempt_id, raw = await _sign(context, connection, caller, row, filler, address)
        sending = engine.broadcaster.enqueue(client, (chain.chain_id, address), raw)
    result = await outcome_of(sending)
    try:
        await record_sent(context.database, attempt_id, result)
        row = (await read.one(context, agent_id, transaction_id)).row
    except SQLAlchemyError:
        # committed is committed: the worker finds out the rest
        log.warning("filler outcome of %s not recorded", transaction_id)
    return view.transaction(row)


async def _require_still(connection: AsyncConnection, caller: Caller) -> None:
    """401 or 403 when the caller lost its credential, or a person its office, while this waited for its turn."""
    now = await still(connection, caller)
    if not now.is_agent:
        await org_admin(now)


async def to_outbid(connection: AsyncConnection, row: Mapping[str, Any]) -> GivenUp:
    """What the filler replaces; 409 for a transaction not in flight, or whose filler is still young."""
    if row["chain_reset_at"] is not None:
        raise conflict("This transaction cannot be given up: it belongs to a chain that was reset.")
    if row["status"] not in IN_FLIGHT:
        raise conflict(f"This transaction cannot be given up: it is {Status(row['status']).value}.")
    attempts = list(await connection.execute(_ATTEMPTS, {"id": row["id"], "bump_after_s": BUMP_AFTER_S}))
    last = attempts[-1]
    if last.kind == "filler" and last.young:
        raise conflict(
            f"This transaction is given up already; its filler may be outbid after {BUMP_AFTER_S} seconds."
        )
    original, _ = decode_signed(bytes(last.raw))
    return GivenUp(original, taken=any(attempt.sent for attempt in attempts))


async def _sign(
    context: Context,
    connection: AsyncConnection,
    caller: Caller,
    row: dict[str, Any],
    filler: Transaction,
    address: bytes,
) -> tuple[UUID, bytes]:
    marked = await connection.execute(_MARK, {"id": row["id"], "in_flight": list(IN_FLIGHT)})
    if marked.rowcount != 1:
        raise conflict("This transaction was mined or settled in the meantime; there is nothing to give up.")
    attempt_id, signed = await sign_filler(context, connection, row, filler, address)
    await write_for(
        connection,
        caller,
        "transaction.give_up",
        "transaction",
        row["id"],
        nonce=filler.nonce,
        filler_hash=f"0x{signed.hash.hex()}",
    )
    return attempt_id, signed.raw


async def sign_filler(
    context: Context, connection: AsyncConnection, row: Mapping[str, Any], filler: Transaction, address: bytes
) -> tuple[UUID, SignedTransaction]:
    """Have the filler signed and write it down as an attempt of `row`, whose wallet the caller has locked.

    503 in a copy that is old: what it does not know of may have used the nonce, or been given its own filler.
    """
    await restored.require_open(connection, binding=True)
    approval = approve_filler(
        filler,
        sender=address,
        agent_id=row["agent_id"],
        key_id=row["key_id"],
        at=datetime.now(UTC),
    )
    signed = await sign(connection, context.signer, approval, filler, address)
    attempt_id = uuid4()
    await connection.execute(
        insert(models.Attempt).values(
            id=attempt_id,
            transaction_id=row["id"],
            kind="filler",
            raw=signed.raw,
            tx_hash=signed.hash,
            digest=signing_digest(filler),
            tried_at=func.clock_timestamp(),
        )
    )
    return attempt_id, signed


def fees_for(outbid: GivenUp, market: FeeQuote) -> LegacyFees | DynamicFees:
    """The market's price; above the bytes to replace only where a node may have them."""
    if outbid.taken:
        return replacement_fees(outbid.original, market)
    return choose_fees(FeeRequest(None, None, None), market)


def filler_for(original: Transaction, address: bytes, fees: LegacyFees | DynamicFees, gas_limit: int) -> Transaction:
    """The filler at `original`'s own nonce: from the wallet to itself, moving nothing."""
    return build(
        fees,
        chain_id=original.chain_id,
        nonce=original.nonce,
        gas_limit=gas_limit,
        to=address,
        value=0,
        data=b"",
    )


def within_ceiling(chain: Chain, filler: Transaction) -> None:
    """The one guardrail a filler has: an eighth above the ceiling, to outbid whatever the ceiling let by."""
    cost_wei, ceiling_wei = max_gas_cost(filler), chain.max_gas_cost_wei * 9 // 8
    if cost_wei > ceiling_wei:
        raise Problem(
            403,
            f"The filler would cost up to {cost_wei} wei of gas, above its ceiling of {ceiling_wei} wei"
            f" on {chain.name}; wait for lower fees or have an admin raise the chain's ceiling.",
        )
