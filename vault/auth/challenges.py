"""Challenges: a first factor was right, the second one is still to come (300 s, single use, at most 5 tries)."""

import secrets
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.keys import digest_of
from vault.auth.models import MfaChallenge
from vault.columns import AnyRow

LIFE_S = 300
MAX_TRIES = 5


async def make(connection: AsyncConnection, user_id: UUID, version: int, method: str) -> str:
    """Challenge a person whose `method` was right and return the token; it ends with the account's version."""
    token = secrets.token_urlsafe(32)
    await connection.execute(
        insert(MfaChallenge).values(
            token_hash=digest_of(token),
            user_id=user_id,
            token_version=version,
            method=method,
            expires_at=func.clock_timestamp() + text(f"interval '{LIFE_S} seconds'"),
        )
    )
    return token


async def find(connection: AsyncConnection, token: str) -> AnyRow | None:
    """A challenge that may still be met."""
    statement = select(MfaChallenge.user_id, MfaChallenge.token_version, MfaChallenge.method)
    return (await connection.execute(statement.where(*_open(token)))).one_or_none()


async def count_try(connection: AsyncConnection, token: str) -> bool:
    """Count a try before it is looked at; False when there are none left."""
    counted = await connection.execute(
        update(MfaChallenge).where(*_open(token)).values(tries=MfaChallenge.tries + 1).returning(MfaChallenge.user_id)
    )
    return counted.one_or_none() is not None


async def meet(connection: AsyncConnection, token: str) -> bool:
    """Use the challenge up; False if somebody was faster."""
    met = await connection.execute(
        update(MfaChallenge)
        .where(MfaChallenge.token_hash == digest_of(token), MfaChallenge.used_at.is_(None))
        .values(used_at=func.now())
        .returning(MfaChallenge.user_id)
    )
    return met.one_or_none() is not None


def _open(token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        MfaChallenge.token_hash == digest_of(token),
        MfaChallenge.used_at.is_(None),
        MfaChallenge.expires_at > func.clock_timestamp(),
        MfaChallenge.tries < MAX_TRIES,
    )
