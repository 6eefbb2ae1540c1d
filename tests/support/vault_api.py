"""Vaults over HTTP as tests speak to them: one organisation with its owner, and shorthands for the calls."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from tests.support.factories import Person, Robot, make_agent, make_user
from tests.support.vault_app import client
from vault.context import Context
from vault.db import Database


@dataclass
class Tenant:
    """An organisation with an owner, and the application to call."""

    database: Database
    app: FastAPI
    owner: Person
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @classmethod
    async def found(cls, app: FastAPI) -> "Tenant":
        """A new organisation."""
        context: Context = app.state.context
        return cls(context.database, app, await make_user(context.database))

    def as_(self, who: Person | Robot | None, peer: str = "203.0.113.9") -> httpx.AsyncClient:
        """An HTTP client that calls as this person or agent (None: without a credential)."""
        made = client(self.app, None if who is None else who.key, peer)
        self.clients.append(made)
        return made

    async def member(self, role: Any = "member", **columns: Any) -> Person:
        """Somebody else in the organisation."""
        return await make_user(self.database, self.owner.org_id, role, **columns)

    async def agent(self, **columns: Any) -> Robot:
        """An agent of the organisation."""
        return await make_agent(self.database, self.owner.org_id, self.owner.id, **columns)

    async def vault(self, who: Person | Robot | None = None, name: str | None = None) -> str:
        """A new vault of this creator (default: the owner); returns its id."""
        answer = await self.as_(who or self.owner).post("/v1/vaults", json={"name": name or f"vault {uuid4()}"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def grant(
        self,
        vault_id: str,
        who: Person | Robot,
        pattern: str = "**",
        permissions: tuple[str, ...] = ("read",),
        **more: Any,
    ) -> str:
        """A policy made by the owner; returns its id."""
        body = {
            "secret_path_pattern": pattern,
            "principal_type": who.caller.kind,
            "principal_id": str(who.id),
            "permissions": list(permissions),
            **more,
        }
        answer = await self.as_(self.owner).post(f"/v1/vaults/{vault_id}/policies", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def put(self, vault_id: str, path: str, value: str = "s3cret", **body: Any) -> dict[str, Any]:
        """A secret stored by the owner; returns the answer."""
        answer = await self.as_(self.owner).put(
            f"/v1/vaults/{vault_id}/secrets/{path}", json={"value": value, **body}
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def rows(self, sql: str, **parameters: Any) -> list[Any]:
        """What the database says."""
        async with self.database.begin() as connection:
            return list((await connection.execute(text(sql), parameters)).mappings().all())

    async def change(self, sql: str, **parameters: Any) -> None:
        """Change the database behind everybody's back."""
        async with self.database.begin() as connection:
            await connection.execute(text(sql), parameters)

    async def audit(self, action: str, resource_id: str | UUID) -> list[Any]:
        """The audit rows of one action on one thing."""
        return await self.rows(
            "SELECT * FROM audit_events WHERE action = :action AND resource_id = :id ORDER BY sequence",
            action=action,
            id=str(resource_id),
        )

    async def close(self) -> None:
        """Close every client handed out."""
        for each in self.clients:
            await each.aclose()


@pytest.fixture
async def tenant(app: FastAPI) -> AsyncIterator[Tenant]:
    """An organisation of the test's own."""
    made = await Tenant.found(app)
    yield made
    await made.close()
