"""An organisation with a chain of its own, and the ways to look at it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from tests.support.vault_api import Tenant
from vault.audit.heads import sign_head
from vault.audit.sequence import seal_pending
from vault.audit.verifier import Report, examine
from vault.audit.write import write
from vault.context import Context


@dataclass
class Log:
    """The chain of one organisation."""

    tenant: Tenant
    context: Context
    directory: Path
    exports: int = 0

    @property
    def org_id(self) -> UUID:
        return self.tenant.owner.org_id

    async def write(self, count: int = 1, **columns: Any) -> None:
        """So many events, committed one by one."""
        values = {"actor_type": "user", "actor_id": "somebody", "action": "secret.read", "resource_type": "secret"}
        for number in range(count):
            async with self.context.database.begin() as transaction:
                event = {**values, "resource_id": f"thing {number}", "details": {"n": number, "é": [1.5, None]}}
                await write(transaction, org_id=self.org_id, **{**event, **columns})

    async def seal(self, *, head: bool = True) -> None:
        """What the worker does."""
        await seal_pending(self.context.database)
        if head:
            await sign_head(self.context.signer, self.org_id)

    async def grow(self, count: int) -> None:
        """Events, their seals, a head."""
        await self.write(count)
        await self.seal()

    async def rows(self, sql: str) -> list[Any]:
        """What the database says; `:org` is the organisation."""
        return await self.tenant.rows(sql, org=self.org_id)

    async def tamper(self, *statements: str) -> None:
        """What somebody with all rights in the database does; `:org` is the organisation."""
        async with self.context.database.begin() as connection:
            for each in statements:
                await connection.execute(text(each), {"org": self.org_id} if ":org" in each else {})

    async def verify(self, **parameters: Any) -> dict[str, Any]:
        """The server's own word."""
        answer = await self.tenant.as_(self.tenant.owner).get("/v1/audit/verify", params=parameters)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def export(self, **parameters: Any) -> Path:
        """A file as an auditor would take it home."""
        answer = await self.tenant.as_(self.tenant.owner).get("/v1/audit/export", params=parameters)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/x-ndjson"
        self.exports += 1
        path = self.directory / f"export-{self.exports}.ndjson"
        path.write_bytes(answer.content)
        return path

    async def audit(self, *kept: Path) -> Report:
        """The offline verifier's word on an export of now."""
        return examine([await self.export()], kept)


@pytest.fixture
async def log(app: FastAPI, context: Context, tmp_path: Path) -> AsyncIterator[Log]:
    tenant = await Tenant.found(app)
    yield Log(tenant, context, tmp_path)
    await tenant.close()
