"""Have bytes signed; where others were signed for the same nonce, say which ones these displace, and why.

The signer keeps one digest per account, chain and nonce, and names it when it refuses another. What it is, our own
tables know: the wallet's row is locked, so whatever was signed for this wallet before us is committed or rolled back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.transactions import Transaction, decode_signed
from guardrails.approval import LIFETIME, SELF_SENT, Approval, Kind, Reason, displacing
from signer.client import SignedTransaction, SignerClient
from signer.errors import DigestStands, SignerUnavailable
from vault.errors import conflict, unavailable
from vault.metrics import counts

# However often the same bytes were signed, one row
_OWNERS: Final = text("""
    SELECT count(*) > 0 AS known,
           bool_or(t.chain_reset_at IS NULL AND t.status = 'sign_only') AS handed_out,
           bool_or(t.chain_reset_at IS NULL AND t.status <> 'sign_only' AND t.given_up_at IS NULL) AS wanted,
           bool_or(t.chain_reset_at IS NULL AND t.status <> 'sign_only' AND t.given_up_at IS NOT NULL) AS given_up
    FROM attempts a JOIN transactions t ON t.id = a.transaction_id
    WHERE a.digest = :digest AND t.chain_id = :chain_id AND t.wallet_address = :address
""")


@dataclass(frozen=True)
class Owners:
    """Whose the standing digest is: any transaction of ours, and on the chain of today one that was handed out, is
    wanted, or was given up."""

    known: bool
    handed_out: bool
    wanted: bool
    given_up: bool


async def sign(
    connection: AsyncConnection, signer: SignerClient, approval: Approval, transaction: Transaction, address: bytes
) -> SignedTransaction:
    """The signed bytes, compared with what was approved: the signer is checked, not believed.

    The caller holds the wallet's lock. 409 when the nonce belongs to a transaction that is wanted, 503 when the
    signer fails, or has not signed when the approval expires.
    """
    async with _until(approval.expires_at):
        signed = await _sign(connection, signer, approval, transaction, address)
    counts.signed(approval.kind)
    if decode_signed(signed.raw) != (transaction, address):
        raise unavailable("The signer returned something else than what was approved; it was discarded.")
    return signed


@asynccontextmanager
async def _until(moment: datetime) -> AsyncIterator[None]:
    """One deadline, however often the signer is asked: a human's stop waits for the locks that are held meanwhile."""
    # a clock that is stepped back meanwhile makes nobody wait longer
    left_s = min((moment - datetime.now(UTC)).total_seconds(), LIFETIME.total_seconds())
    try:
        async with asyncio.timeout(left_s):
            yield
    except TimeoutError:
        raise SignerUnavailable("the signer does not answer in time") from None


async def _sign(
    connection: AsyncConnection, signer: SignerClient, approval: Approval, transaction: Transaction, address: bytes
) -> SignedTransaction:
    try:
        return await signer.sign_transaction(approval, transaction)
    except DigestStands as refusal:
        reason = reason_for(approval.kind, await _owners(connection, refusal.digest, transaction, address))
        if reason is None:
            raise conflict(
                f"Another transaction was signed with nonce {transaction.nonce} and may be mined; nothing was signed."
            ) from None
        # once: under the wallet's lock nothing else takes the place meanwhile
        return await signer.sign_transaction(displacing(approval, refusal.digest, reason), transaction)


def reason_for(kind: Kind, owners: Owners) -> Reason | None:
    """Why a new signature of this kind may take the place of one with these owners; None where it may not."""
    if not owners.known:
        # signed, and then our transaction was rolled back: these bytes never left
        return "rolled_back"
    if owners.wanted:
        return None
    if owners.given_up:
        # only what moves nothing settles its nonce
        if kind not in SELF_SENT:
            return None
        return "filler" if kind == "filler" else "cancel"
    return "sign_only" if owners.handed_out else "chain_reset"


async def _owners(connection: AsyncConnection, digest: bytes, transaction: Transaction, address: bytes) -> Owners:
    row = (
        await connection.execute(_OWNERS, {"digest": digest, "chain_id": transaction.chain_id, "address": address})
    ).one()
    return Owners(row.known, bool(row.handed_out), bool(row.wanted), bool(row.given_up))
