"""Sessions of people who are signed in with a browser: started, looked up, ended. Only a cookie's SHA-256 is kept."""

import hashlib
import secrets
from uuid import UUID

from sqlalchemy import delete, func, insert, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_for
from vault.auth.caller import Caller
from vault.auth.models import User, WebSession
from vault.auth.tokens import Claims
from vault.orgs.models import Membership

# no JWT has it, so that no revoked token can be meant
_NO_TOKEN = str(UUID(int=0))


async def start(connection: AsyncConnection, caller: Caller, hours: int) -> str:
    """Begin a session of a person who just proved to be one; returns the cookie's value."""
    cookie = secrets.token_urlsafe(32)
    person = select(
        literal(digest(cookie)),
        User.id,
        User.token_version,
        func.now() + text(f"interval '{hours} hours'"),
    ).where(User.id == caller.id)
    columns = ["token_hash", "user_id", "token_version", "expires_at"]
    await connection.execute(insert(WebSession).from_select(columns, person))
    await write_for(connection, caller, "session.start", "user", caller.id)
    return cookie


async def claims(connection: AsyncConnection, cookie: str) -> Claims | None:
    """What a live session says, in the form in which every credential of a person is checked."""
    statement = (
        select(WebSession.user_id, WebSession.token_version, WebSession.expires_at, Membership.org_id)
        .join(Membership, Membership.user_id == WebSession.user_id)
        .where(WebSession.token_hash == digest(cookie), WebSession.expires_at > func.now())
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return None
    return Claims(
        kind="user",
        principal_id=row.user_id,
        org_id=row.org_id,
        token_id=_NO_TOKEN,
        expires_at=row.expires_at,
        version=row.token_version,
        key_id=None,
    )


async def end(connection: AsyncConnection, caller: Caller, cookie: str) -> None:
    """End one session at once."""
    await connection.execute(delete(WebSession).where(WebSession.token_hash == digest(cookie)))
    await write_for(connection, caller, "session.end", "user", caller.id)


def digest(cookie: str) -> bytes:
    """What is kept of a cookie."""
    return hashlib.sha256(cookie.encode()).digest()
