"""Lock, decide again, sign, write, commit: the one place where a nonce and spend turn into a signature.

Steps 6 and 7 of the way of a transaction. Signing happens inside the lock: a rollback gives nonce and spend
back together, so nonces are gapless by construction, and a signature that was not committed never leaves here.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.transactions import DynamicFeeTransaction, Transaction, max_gas_cost, signing_digest
from guardrails.approval import approve
from intents import budget, grounds, idempotency, models, outcome, wallets
from intents.idempotency import Claim
from intents.outside.gate import require_still
from intents.prepare import Prepared, check
from intents.restored.alike import require_new
from intents.sign import sign
from intents.status import Status
from signer.client import SignedTransaction
from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import conflict, unavailable
from vault.signing_keys.service import bind_first
from vault.trouble import trouble

Kind = Literal["submit", "sign_only"]

_COLUMNS = [column.name for column in models.Transaction.__table__.columns]
# The database's clock, read behind the wallet's lock: a wallet's rows come one after the other by it, whichever host
# writes them and whatever that one's own clock says (`wallets.choose_nonce`, `wallets.speaks_against`)
_AT = ("created_at", "signed_at")
_VALUES = ["statement_timestamp()" if name in _AT else f":{name}" for name in _COLUMNS]
# Transaction, bytes and nonce in one statement: the lock is held while it runs.
# `tried_at` keeps the worker's hands off for some seconds: the API sends these bytes itself right away.
_WRITE = text(f"""
    WITH intent AS (
        INSERT INTO transactions ({", ".join(_COLUMNS)}) VALUES ({", ".join(_VALUES)}) RETURNING created_at, signed_at
    ), bytes AS (
        INSERT INTO attempts (id, transaction_id, kind, raw, tx_hash, digest, tried_at)
        VALUES (:attempt_id, :id, :kind, :raw, :tx_hash, :digest, clock_timestamp())
    )
    UPDATE wallets SET next_nonce = GREATEST(next_nonce, :next_nonce)
    FROM intent WHERE chain_id = :chain_id AND address = :wallet_address
    RETURNING intent.created_at, intent.signed_at
""")  # noqa: S608 - the names are our own columns; every value is a bind parameter


@dataclass(frozen=True)
class Committed:
    """What is durable now: the transaction's row as it was written, and the bytes that may be sent."""

    transaction_id: UUID
    attempt_id: UUID
    row: dict[str, Any]
    raw: bytes


async def commit(context: Context, caller: Caller, prepared: Prepared, kind: Kind, claim: Claim | None) -> Committed:
    """Sign `prepared` under the locks and make it durable.

    Raises 403 when what a human set by now, or the locked totals, forbid it; 409/422 for a bad explicit nonce or a
    lost claim, or a stopped wallet; 503 when the signer or the database fails.
    """
    written: Committed | None = None
    try:
        async with context.database.begin() as connection:
            written = await _sign_and_write(context, connection, caller, prepared, kind, claim)
    except IntegrityError as error:
        raise conflict("Another transaction took this nonce; nothing was signed that counts.") from error
    except DBAPIError as error:
        if written is None:
            raise unavailable(f"{trouble(error) or 'The database failed'}; nothing was done, try again.") from error
        # The connection broke while committing: whether the commit happened, only the database knows.
        await outcome.settle(
            context.database, written.transaction_id, prepared.draft.chain.chain_id, prepared.key.address
        )
    assert written is not None
    return written


async def _sign_and_write(
    context: Context,
    connection: AsyncConnection,
    caller: Caller,
    prepared: Prepared,
    kind: Kind,
    claim: Claim | None,
) -> Committed:
    draft, key, chain_id = prepared.draft, prepared.key, prepared.draft.chain.chain_id
    # 1. The locks, always in this order: claim, budget, agent (shared), wallet, the gate of freezes.
    if claim is not None:
        await idempotency.hold(connection, claim)
    spent_wei = await budget.lock(connection, caller.id)
    agent = await grounds.hold(connection, caller)
    tracker = await wallets.lock(connection, chain_id, key.address)
    require_still(context, draft.chain, key.address, tracker)
    # from here on a human's freeze waits for us, for as long as the approval lives and no longer
    passed_at = await grounds.pass_gate(connection, caller, agent)
    # What a human set may have changed since it was read for the first time, or while this waited for a lock: what
    # counts is what it is now, behind the last of them.
    now = await grounds.read(connection, caller, draft, agent)
    if now.key != key:
        raise conflict(f"The key at {draft.signing_key_path} was just replaced; nothing was signed, try again.")
    await require_new(connection, caller.id, draft, key.address, binding=True)
    # 2. The nonce.
    nonce = await wallets.choose_nonce(
        connection,
        chain_id,
        key.address,
        requested=draft.nonce,
        tracker=tracker,
        was_tracked=prepared.tracked,
        newest_at=prepared.newest_at,
        pending=prepared.quote.pending_nonce,
        mined=prepared.quote.mined_nonce,
    )
    transaction = prepared.transaction(nonce)
    # 3. Decide again, now on limits and totals that nobody can change beneath us.
    allowed = check(draft, now.limits, spent_wei, max_gas_cost(transaction))
    # 4. Sign exactly these bytes.
    approval = approve(
        allowed,
        transaction,
        kind=kind,
        agent_id=caller.id,
        key_id=key.key_id,
        at=passed_at,
    )
    signed = await sign(connection, context.signer, approval, transaction, key.address)
    # 5. Write everything this signature means, in the same database transaction.
    written = await _write(connection, caller, prepared, kind, transaction, signed)
    if not now.key.is_bound:
        # the first signature says for good which secret this path stands for
        await bind_first(connection, caller, draft.signing_key_path, now.key)
    await budget.reserve(connection, caller.id, written.transaction_id, draft.value_wei)
    await write_for(
        connection,
        caller,
        "transaction.submit" if kind == "submit" else "transaction.sign",
        "transaction",
        written.transaction_id,
        chain=draft.chain.name,
        to=f"0x{draft.to.hex()}",
        value_wei=str(draft.value_wei),
        nonce=nonce,
        tx_hash=f"0x{signed.hash.hex()}",
    )
    if claim is not None:
        await idempotency.complete(connection, claim, written.transaction_id)
    return written


async def _write(
    connection: AsyncConnection,
    caller: Caller,
    prepared: Prepared,
    kind: Kind,
    transaction: Transaction,
    signed: SignedTransaction,
) -> Committed:
    transaction_id, attempt_id = uuid4(), uuid4()
    row: dict[str, Any] = {column.name: None for column in models.Transaction.__table__.columns}
    row |= intent_columns(caller, prepared, transaction_id) | price_columns(transaction)
    row |= {
        "nonce": transaction.nonce,
        "gas_limit": transaction.gas_limit,
        "status": (Status.SIGNED if kind == "submit" else Status.SIGN_ONLY).value,
        "tx_hash": signed.hash,
    }
    written = await connection.execute(
        _WRITE,
        {
            **row,
            "attempt_id": attempt_id,
            "kind": kind,
            "raw": signed.raw,
            "digest": signing_digest(transaction),
            # a sign-only transaction names the next free nonce without taking it
            "next_nonce": transaction.nonce + 1 if kind == "submit" else 0,
        },
    )
    return Committed(transaction_id, attempt_id, row | dict(written.mappings().one()), signed.raw)


def price_columns(transaction: Transaction) -> dict[str, object]:
    """Type and fees of what was signed, in wei."""
    if isinstance(transaction, DynamicFeeTransaction):
        return {
            "transaction_type": 2,
            "max_fee_per_gas": transaction.max_fee_per_gas,
            "max_priority_fee_per_gas": transaction.max_priority_fee_per_gas,
        }
    return {"transaction_type": 0, "gas_price": transaction.gas_price}


def intent_columns(caller: Caller, prepared: Prepared, transaction_id: UUID) -> dict[str, object]:
    """The columns that say what was asked, the same for a signed and for a refused transaction."""
    draft, simulation = prepared.draft, prepared.simulation
    return {
        "id": transaction_id,
        "org_id": caller.org_id,
        "agent_id": caller.id,
        "key_id": prepared.key.key_id,
        "chain": draft.chain.name,
        "chain_id": draft.chain.chain_id,
        "wallet_address": prepared.key.address,
        "to_address": draft.to,
        "value_wei": draft.value_wei,
        "data": draft.data,
        "simulation_id": uuid4() if simulation else None,
        "simulation_status": simulation.status if simulation else None,
    }
