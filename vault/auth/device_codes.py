"""Statements about command-line logins that wait for a person's yes (RFC 8628)."""

import re
import secrets
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.keys import digest_of
from vault.auth.models import DeviceCode, User
from vault.columns import AnyRow

LIFE_S = 600
# no vowels, so no words; nothing that looks like something else (RFC 8628, 6.1): 20^8 codes
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8
# two machines' clocks and the network: whoever waits for five seconds is not too fast
POLL_S = 4

_SEPARATORS = re.compile(r"[\s-]+")
_IS_LIVE = DeviceCode.expires_at > func.clock_timestamp()


def user_code() -> str:
    """A new code for people to read: XXXX-XXXX."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def normalise_code(typed: str) -> str:
    """The form a typed code is looked up in."""
    letters = _SEPARATORS.sub("", typed).upper()
    return f"{letters[:4]}-{letters[4:]}"


async def add(connection: AsyncConnection, *, device_code: str, code: str, client_id: str, email: str | None) -> bool:
    """Keep a login that begins; False if its user code is taken."""
    statement = insert(DeviceCode).values(
        code_hash=digest_of(device_code),
        user_code=code,
        client_id=client_id,
        email=email,
        expires_at=func.clock_timestamp() + text(f"interval '{LIFE_S} seconds'"),
    )
    added = await connection.execute(statement.on_conflict_do_nothing().returning(DeviceCode.user_code))
    return added.one_or_none() is not None


async def redeem(connection: AsyncConnection, device_code: str) -> AnyRow | None:
    """Use up a login that was approved: whose it is."""
    statement = (
        update(DeviceCode)
        .where(DeviceCode.code_hash == digest_of(device_code), DeviceCode.status == "approved", _IS_LIVE)
        .values(status="used")
        .returning(DeviceCode.user_id, DeviceCode.token_version, DeviceCode.client_id)
    )
    return (await connection.execute(statement)).one_or_none()


async def poll(connection: AsyncConnection, device_code: str) -> AnyRow | None:
    """How a login is: `status`, `is_live`, and `is_early` if it was asked for a moment ago. None if unknown."""
    mine = DeviceCode.code_hash == digest_of(device_code)
    before = select(
        DeviceCode.status,
        _IS_LIVE.label("is_live"),
        and_(
            DeviceCode.polled_at.is_not(None),
            DeviceCode.polled_at > func.clock_timestamp() - text(f"interval '{POLL_S} seconds'"),
        ).label("is_early"),
    )
    found = (await connection.execute(before.where(mine).with_for_update())).one_or_none()
    if found is not None:
        await connection.execute(update(DeviceCode).where(mine).values(polled_at=func.clock_timestamp()))
    return found


async def find(connection: AsyncConnection, code: str) -> AnyRow | None:
    """The login of a user code."""
    statement = select(
        DeviceCode.user_code, DeviceCode.status, DeviceCode.email, DeviceCode.expires_at, _IS_LIVE.label("is_live")
    )
    return (await connection.execute(statement.where(DeviceCode.user_code == code))).one_or_none()


async def decide(connection: AsyncConnection, code: str, user_id: UUID, status: str) -> AnyRow | None:
    """Approve or deny a login that waits for this person (or for anybody): its client. None if there is none."""
    mine: ColumnElement[str] = select(User.email).where(User.id == user_id).scalar_subquery()
    version: ColumnElement[int] = select(User.token_version).where(User.id == user_id).scalar_subquery()
    statement = (
        update(DeviceCode)
        .where(DeviceCode.user_code == code, DeviceCode.status == "pending", _IS_LIVE)
        .where(or_(DeviceCode.email.is_(None), DeviceCode.email == mine))
        .values(status=status, user_id=user_id, token_version=version)
        .returning(DeviceCode.client_id)
    )
    return (await connection.execute(statement)).one_or_none()
