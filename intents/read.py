"""Read transactions back: one, or a page of an agent's, newest first."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from intents.models import Attempt, Transaction
from vault.context import Context
from vault.errors import not_found


@dataclass(frozen=True)
class Found:
    """A transaction's row and the bytes that were signed for it (None when nothing was)."""

    row: dict[str, Any]
    signed_tx: bytes | None


_SELECT = select(*Transaction.__table__.columns, Attempt.raw.label("signed_tx")).outerjoin(
    Attempt, (Attempt.transaction_id == Transaction.id) & Attempt.kind.in_(["submit", "sign_only"])
)


async def one(context: Context, agent_id: UUID, transaction_id: UUID) -> Found:
    """One transaction of this agent; 404 when there is none."""
    async with context.database.statements() as connection:
        row = (
            (
                await connection.execute(
                    _SELECT.where(Transaction.id == transaction_id, Transaction.agent_id == agent_id)
                )
            )
            .mappings()
            .first()
        )
    if row is None:
        raise not_found("Transaction not found")
    return _found(dict(row))


async def page(context: Context, agent_id: UUID, limit: int, offset: int) -> list[Found]:
    """At most `limit` transactions of this agent after the `offset` newest."""
    async with context.database.statements() as connection:
        rows = await connection.execute(
            _SELECT.where(Transaction.agent_id == agent_id)
            .order_by(Transaction.created_at.desc(), Transaction.id.desc())
            .limit(limit)
            .offset(offset)
        )
        return [_found(dict(row)) for row in rows.mappings()]


def _found(row: dict[str, Any]) -> Found:
    raw = row.pop("signed_tx")
    return Found(row, None if raw is None else bytes(raw))
