"""End every credential that was issued before: in an old copy those count again that were ended since it was made.

Keys, registered certificates and identities of agents, people's API keys, tokens, sessions, known devices, pending
log-ins, invitations and mailed links; and the keys that sign tokens. What people know or hold themselves stays (their
passwords, second factors, linked accounts): they come back in with it. No wallet's or vault's key is touched.
"""

from sqlalchemy import CursorResult, delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.errors import RotatedJustNow
from vault.agents.models import Agent
from vault.audit.write import write, write_for
from vault.auth.again import still
from vault.auth.caller import Caller
from vault.auth.dependencies import platform_admin
from vault.auth.models import (
    ApiKey,
    DeviceCode,
    EmailToken,
    KnownPlace,
    MfaChallenge,
    OutboxMail,
    User,
    WebSession,
)
from vault.bounded import be_patient
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import conflict
from vault.orgs.models import Organisation
from vault.restores.schemas import EndedReply

# every row of some tables at once, of an instance in which nothing else goes on
PATIENCE_S = 60
_NEWEST = text("SELECT id, found_by FROM restores ORDER BY found_at DESC LIMIT 1 FOR UPDATE")
_ENDED = text("UPDATE restores SET credentials_ended_at = clock_timestamp() WHERE id = :id")
_SESSIONS = (WebSession, DeviceCode, MfaChallenge, KnownPlace)


async def end_credentials(context: Context, caller: Caller) -> EndedReply:
    """Do it, the caller's own credential included; 409 where this is no restored copy, or keys were just rotated."""
    async with context.database.begin() as connection:
        await be_patient(connection, PATIENCE_S)
        restore = (await connection.execute(_NEWEST)).one_or_none()
        if restore is None:
            raise conflict("This instance is no restored copy; rotate keys one by one.")
        await platform_admin(await still(connection, caller))
        ended = await _end(connection)
        await connection.execute(_ENDED, {"id": restore.id})
        await _audit(connection, caller, restore, ended)
        try:
            # at the end: it cannot be taken back, and what follows it is the commit alone
            await context.signer.rotate_jwt_key(at_once=True)
        except RotatedJustNow:
            raise conflict("The keys of tokens were rotated a moment ago; try again in ten seconds.") from None
    return ended


async def _end(connection: AsyncConnection) -> EndedReply:
    # deleted ones too: an organisation that is opened again brings its agents back
    held = or_(
        Agent.key_hash.is_not(None), Agent.client_cert_fingerprint.is_not(None), Agent.oidc_client_id.is_not(None)
    )
    agents = (await connection.execute(select(func.count()).where(held, Agent.deleted_at.is_(None)))).scalar_one()
    await connection.execute(
        update(Agent).values(
            key_prefix=None,
            key_hash=None,
            client_cert_fingerprint=None,
            oidc_issuer=None,
            oidc_client_id=None,
            token_version=Agent.token_version + 1,
        )
    )
    live = ApiKey.revoked_at.is_(None)
    api_keys = await _count(connection, update(ApiKey).where(live).values(revoked_at=func.now()))
    people = await _count(connection, update(User).values(token_version=User.token_version + 1))
    sessions = {each: await _count(connection, delete(each)) for each in _SESSIONS}
    links = await _count(connection, delete(EmailToken))
    # they would bring links that lead nowhere
    await connection.execute(delete(OutboxMail).where(OutboxMail.sent_at.is_(None)))
    return EndedReply(
        agents=agents, api_keys=api_keys, people=people, sessions=sum(sessions.values()), mailed_links=links
    )


async def _count(connection: AsyncConnection, statement: object) -> int:
    done: CursorResult[object] = await connection.execute(statement)  # type: ignore[call-overload]  # any of them
    return done.rowcount


async def _audit(connection: AsyncConnection, caller: Caller, restore: AnyRow, ended: EndedReply) -> None:
    details = ended.model_dump()
    await write_for(connection, caller, "restore.end_credentials", "restore", restore.id, **details)
    others = select(Organisation.id).where(Organisation.id != caller.org_id, Organisation.closed_at.is_(None))
    for org_id in (await connection.execute(others.order_by(Organisation.id))).scalars().all():
        # they see that it happened; how much of it was elsewhere is not theirs
        await write(
            connection,
            org_id=org_id,
            actor_type="system",
            actor_id="talon",
            action="restore.end_credentials",
            resource_type="restore",
            resource_id=restore.id,
        )
