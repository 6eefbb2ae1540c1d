"""People of a running instance, and requests on many connections."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from argon2 import PasswordHasher

from tests.support.world import World

CONNECTIONS = 12


@dataclass
class SomeBody:
    """Somebody with an account of his own, in an organisation of his own."""

    http: httpx.AsyncClient
    id: str
    org_id: str
    email: str
    password: str = field(repr=False)

    async def log_in(self) -> str:
        """A fresh session's token."""
        answer = await self.http.post("/v1/auth/token", json={"email": self.email, "password": self.password})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def api_key(self, **fields: Any) -> tuple[str, str]:
        """A personal API key: its id and the key."""
        answer = await self.http.post(
            "/v1/auth/api-keys", json={"name": "test", **fields}, headers=bearer(await self.log_in())
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["key"]["id"]), str(answer.json()["api_key"])


def bearer(credential: str) -> dict[str, str]:
    """The header that presents it."""
    return {"Authorization": f"Bearer {credential}"}


async def sign_up(world: World, database: psycopg.AsyncConnection) -> SomeBody:
    """Somebody who has signed up and followed the mail's link (the pages' own tests do that by hand)."""
    person = SomeBody(
        world.http, str(uuid4()), str(uuid4()), f"{uuid4()}@example.com", f"Aa-{secrets.token_urlsafe(12)}7!"
    )
    digest = await asyncio.to_thread(PasswordHasher().hash, person.password)
    await database.execute("INSERT INTO organisations (id, name) VALUES (%s, 'Other')", (person.org_id,))
    await database.execute(
        "INSERT INTO users (id, email, password_hash, email_verified) VALUES (%s, %s, %s, true)",
        (person.id, person.email, digest),
    )
    await database.execute(
        "INSERT INTO memberships (user_id, org_id, role) VALUES (%s, %s, 'owner')", (person.id, person.org_id)
    )
    return person


async def join(database: psycopg.AsyncConnection, person: SomeBody, world: World, role: str = "member") -> None:
    """Move somebody into the world's organisation, as an accepted invitation would."""
    org_id = (await world.http.get("/v1/auth/me", headers=world.headers)).json()["org_id"]
    await database.execute(
        "UPDATE memberships SET org_id = %s, role = %s WHERE user_id = %s", (org_id, role, person.id)
    )
    person.org_id = org_id


async def everywhere(
    base_url: str, path: str, credential: str, method: str = "GET", count: int = CONNECTIONS, **more: Any
) -> list[int]:
    """The statuses of the same request on connections of its own each, at once: so that every process answers."""

    async def ask() -> int:
        async with httpx.AsyncClient(base_url=base_url, timeout=60) as http:
            answer = await http.request(method, path, headers=bearer(credential), **more)
            return answer.status_code

    return list(await asyncio.gather(*(ask() for _ in range(count))))
