"""Give a transaction up: settle its nonce with a filler, so that it never jams the wallet.

A filler is a zero-value transfer of the wallet to itself with the nonce of our own transaction. No allowlist,
cap or freeze stops it, only the ceiling on gas: it moves nothing, and without it the wallet would stand still.
The transaction becomes `failed` when the filler (or anything else with its nonce) is final; if its own bytes are
mined first, it was mined.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.chain import Chain
from chains.fees import DynamicFees, LegacyFees, replacement_fees
from chains.quote import quote
from chains.transactions import DynamicFeeTransaction, LegacyTransaction, Transaction, decode_signed, max_gas_cost
from guardrails.approval import approve_filler
from intents import models, read, view, wallets
from intents.broadcast import record_sent
from intents.commit import APPROVAL_TTL
from intents.engine import Engine
from intents.status import IN_FLIGHT, Status
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import Problem, conflict, not_found, unavailable
from vault.networks.service import load_chain

FILLER_GAS = 21_000

_MARK = text("""
    UPDATE transactions SET given_up_at = clock_timestamp(),
           error_message = 'Given up; a filler transaction is settling its nonce.'
    WHERE id = :id AND status = ANY(:in_flight) AND given_up_at IS NULL
""")


async def give_up(
    context: Context, engine: Engine, caller: Caller, agent_id: UUID, transaction_id: UUID
) -> dict[str, Any]:
    """Sign, commit and send the filler; 409 when there is nothing to give up (any more)."""
    found = await read.one(context, agent_id, transaction_id)
    if found.row["status"] not in IN_FLIGHT or found.row["given_up_at"] is not None:
        raise settled(found.row)
    assert found.signed_tx is not None
    original, _ = decode_signed(found.signed_tx)
    async with context.database.begin() as connection:
        # also a disabled or removed chain: what was signed there is seen through
        chain = await load_chain(connection, found.row["chain_id"])
    if chain is None:
        raise not_found("The chain of this transaction is no longer known")
    client = context.chains.for_chain(chain)
    address = bytes(found.row["wallet_address"])
    now = await quote(client, address)
    filler = filler_for(original, address, replacement_fees(original, now.fee_quote))
    within_ceiling(chain, filler)
    async with engine.queue.turn(chain.chain_id, address):
        async with context.database.begin() as connection:
            await wallets.lock(connection, chain.chain_id, address)
            attempt_id, raw = await _sign(context, connection, caller, found.row, filler, address)
        sending = engine.broadcaster.enqueue(client, (chain.chain_id, address), raw)
    await record_sent(context.database, attempt_id, await sending)
    return view.transaction((await read.one(context, agent_id, transaction_id)).row)


async def _sign(
    context: Context,
    connection: AsyncConnection,
    caller: Caller,
    row: dict[str, Any],
    filler: Transaction,
    address: bytes,
) -> tuple[UUID, bytes]:
    marked = await connection.execute(_MARK, {"id": row["id"], "in_flight": [status.value for status in IN_FLIGHT]})
    if marked.rowcount != 1:
        raise settled(row)
    approval = approve_filler(
        filler,
        sender=address,
        agent_id=row["agent_id"],
        key_id=row["key_id"],
        expires_at=datetime.now(UTC) + APPROVAL_TTL,
    )
    signed = await context.signer.sign_transaction(approval, filler)
    if decode_signed(signed.raw) != (filler, address):
        raise unavailable("The signer returned something else than what was approved; it was discarded.")
    attempt_id = uuid4()
    await connection.execute(
        insert(models.Attempt).values(
            id=attempt_id,
            transaction_id=row["id"],
            kind="filler",
            raw=signed.raw,
            tx_hash=signed.hash,
            tried_at=datetime.now(UTC),
        )
    )
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


def filler_for(original: Transaction, address: bytes, fees: LegacyFees | DynamicFees) -> Transaction:
    """The filler that outbids `original` at its own nonce."""
    if isinstance(fees, LegacyFees):
        return LegacyTransaction(
            chain_id=original.chain_id,
            nonce=original.nonce,
            gas_price=fees.gas_price,
            gas_limit=FILLER_GAS,
            to=address,
            value=0,
            data=b"",
        )
    return DynamicFeeTransaction(
        chain_id=original.chain_id,
        nonce=original.nonce,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        max_fee_per_gas=fees.max_fee_per_gas,
        gas_limit=FILLER_GAS,
        to=address,
        value=0,
        data=b"",
    )


def within_ceiling(chain: Chain, filler: Transaction) -> None:
    """The one guardrail a filler has."""
    cost_wei = max_gas_cost(filler)
    if cost_wei > chain.max_gas_cost_wei:
        raise Problem(
            403,
            f"The filler would cost up to {cost_wei} wei of gas, above the ceiling of {chain.max_gas_cost_wei} wei"
            f" for {chain.name}; wait for lower fees or have an admin raise the ceiling.",
        )


def settled(row: dict[str, Any]) -> Problem:
    """409: a transaction that is mined, failed, given up or never had a nonce."""
    state = "given up already" if row["given_up_at"] is not None else Status(row["status"]).value
    return conflict(f"This transaction cannot be given up: it is {state}.")
