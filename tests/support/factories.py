"""People, organisations and agents for tests, put straight into the tables."""

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select

from vault.agents.models import Agent
from vault.audit.models import AuditEvent
from vault.auth import keys
from vault.auth.caller import Caller
from vault.auth.models import ApiKey, User
from vault.auth.scopes import path_scopes
from vault.db import Database
from vault.orgs.models import Membership, Organisation


@dataclass(frozen=True)
class Person:
    """A user with a personal API key; `caller` is what the dependencies would make of it."""

    id: UUID
    org_id: UUID
    email: str
    caller: Caller
    key: str = field(repr=False)


@dataclass(frozen=True)
class Robot:
    """An agent with its API key; `caller` is what the dependencies would make of it."""

    id: UUID
    org_id: UUID
    caller: Caller
    key: str = field(repr=False)


async def make_org(database: Database, name: str = "Org") -> UUID:
    """An organisation without members."""
    org_id = uuid4()
    async with database.begin() as connection:
        await connection.execute(insert(Organisation).values(id=org_id, name=name))
    return org_id


async def make_user(
    database: Database,
    org_id: UUID | None = None,
    role: Literal["owner", "admin", "member"] = "owner",
    *,
    is_platform_admin: bool = False,
    scopes: tuple[str, ...] = (),
    **columns: Any,
) -> Person:
    """A verified user (without a password unless `password_hash` is given), in a new organisation by default."""
    org_id = org_id or await make_org(database)
    user_id = uuid4()
    email = columns.pop("email", f"{user_id}@example.com")
    made = keys.make_key(keys.PERSON)
    async with database.begin() as connection:
        await connection.execute(
            insert(User).values(
                id=user_id, email=email, email_verified=True, is_platform_admin=is_platform_admin, **columns
            )
        )
        await connection.execute(insert(Membership).values(user_id=user_id, org_id=org_id, role=role))
        await connection.execute(
            insert(ApiKey).values(
                id=uuid4(),
                user_id=user_id,
                name="test",
                key_prefix=made.prefix,
                key_hash=made.digest,
                scopes=list(scopes),
            )
        )
    caller = Caller(
        kind="user",
        id=user_id,
        org_id=org_id,
        role=role,
        credential="api_key",
        scopes=path_scopes(scopes),
        is_platform_admin=is_platform_admin,
    )
    return Person(user_id, org_id, email, caller, made.text)


async def make_agent(database: Database, org_id: UUID, created_by: UUID | None = None, **columns: Any) -> Robot:
    """An active agent with a key; `columns` are those of vault.agents.models.Agent."""
    agent_id = uuid4()
    made = keys.make_key(keys.AGENT)
    values = {"name": "agent", **columns}
    async with database.begin() as connection:
        await connection.execute(
            insert(Agent).values(
                id=agent_id,
                org_id=org_id,
                created_by=created_by or uuid4(),
                key_prefix=made.prefix,
                key_hash=made.digest,
                **values,
            )
        )
    caller = Caller(
        kind="agent",
        id=agent_id,
        org_id=org_id,
        role=None,
        credential="api_key",
        scopes=path_scopes(values.get("scopes", ())),
        vault_ids=tuple(values.get("vault_ids", ())),
        intents_api_enabled=bool(values.get("intents_api_enabled", False)),
    )
    return Robot(agent_id, org_id, caller, made.text)


async def audit_rows(database: Database, org_id: UUID, action: str | None = None) -> list[Row[Any]]:
    """An organisation's audit rows, oldest first; only those of one action if it is given."""
    statement = select(*AuditEvent.__table__.columns).where(AuditEvent.org_id == org_id)
    if action is not None:
        statement = statement.where(AuditEvent.action == action)
    async with database.begin() as connection:
        return list((await connection.execute(statement.order_by(AuditEvent.sequence))).all())
