"""Devices and addresses from which a person has logged in: somebody else's failed log-ins do not shut these out.

A device is a browser with a cookie that we gave it: 256 random bits, of which we keep the SHA-256, so that it can be
taken back. It proves nothing by itself: the password is asked for all the same.
"""

import hashlib
import secrets
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.client_address import group_of
from vault.auth.models import KnownPlace, User
from vault.auth.origin import Origin, Place, at_address

ADDRESS_DAYS = 30
DEVICE_DAYS = 180


async def find(connection: AsyncConnection, email: str, origin: Origin) -> Place:
    """The place that a log-in comes from, as the account of this address knows it; the same work if there is none."""
    device = _of_device(origin.device or "")
    address = _of_address(email, origin.address)
    statement = (
        select(KnownPlace.digest)
        .join(User, User.id == KnownPlace.user_id)
        .where(User.email == email, KnownPlace.digest.in_([device, address]), KnownPlace.expires_at > func.now())
    )
    known = set((await connection.execute(statement)).scalars())
    if device in known:
        return Place(f"device:{device.hex()}", is_known=True, is_device=True)
    return at_address(origin.address, is_known=origin.is_host or address in known)


async def is_known_device(connection: AsyncConnection, token: str) -> bool:
    """Whether this is a device's cookie that counts, whosever."""
    statement = select(KnownPlace.digest).where(
        KnownPlace.digest == _of_device(token), KnownPlace.expires_at > func.now()
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def remember_address(connection: AsyncConnection, user_id: UUID, email: str, address: str | None) -> None:
    """The person has just logged in from here."""
    # of whom it cannot be told where he is, it cannot be told either that he was there before
    if address is None:
        return
    later = func.now() + text(f"interval '{ADDRESS_DAYS} days'")
    statement = insert(KnownPlace).values(digest=_of_address(email, address), user_id=user_id, expires_at=later)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[KnownPlace.digest],
            set_={"user_id": user_id, "expires_at": statement.excluded.expires_at},
            # one row written a day, however often somebody logs in
            where=KnownPlace.expires_at < statement.excluded.expires_at - text("interval '1 day'"),
        )
    )


async def add_device(connection: AsyncConnection, user_id: UUID) -> str:
    """Know a device from now on; returns the cookie's value.

    Always a new one: a value that was in the browser before may have been put there by somebody else.
    """
    token = secrets.token_urlsafe(32)
    later = func.now() + text(f"interval '{DEVICE_DAYS} days'")
    await connection.execute(insert(KnownPlace).values(digest=_of_device(token), user_id=user_id, expires_at=later))
    return token


async def renew_device(connection: AsyncConnection, user_id: UUID, token: str | None) -> bool:
    """Whether this cookie is one of the person's devices; then it counts for as long again."""
    renewed = await connection.execute(
        update(KnownPlace)
        .where(KnownPlace.digest == _of_device(token or ""), KnownPlace.user_id == user_id)
        .where(KnownPlace.expires_at > func.now())
        .values(expires_at=func.now() + text(f"interval '{DEVICE_DAYS} days'"))
        .returning(KnownPlace.digest)
    )
    return renewed.one_or_none() is not None


async def forget_all(connection: AsyncConnection, user_id: UUID) -> None:
    """Whoever knew the old password may have made a place known."""
    await connection.execute(delete(KnownPlace).where(KnownPlace.user_id == user_id))


def _of_device(token: str) -> bytes:
    return hashlib.sha256(f"device:{token}".encode()).digest()


def _of_address(email: str, address: str | None) -> bytes:
    return hashlib.sha256(f"address:{group_of(address)}:{email}".encode()).digest()
