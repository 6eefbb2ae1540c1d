"""The register of rows, and the client that a row is tried with."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.people import SomeBody
from tests.support.world import Agent, Wallet, World

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass
class Client:
    """A human with a vault, a secret and a policy, and an agent with a funded key."""

    world: World
    person: SomeBody
    agent: Agent
    wallet: Wallet
    base_url: str

    @property
    def vault(self) -> str:
        return f"/v1/vaults/{self.world.vault_id}"

    async def ask(self, method: str, path: str, status: int | None = None, **more: Any) -> httpx.Response:
        headers = self.world.headers | more.pop("headers", {})
        answer = await self.world.http.request(method, path, headers=headers, **more)
        assert status is None or answer.status_code == status, (path, answer.status_code, answer.text)
        return answer


Row = Callable[[Client], Awaitable[None]]
ROWS: dict[str, Row] = {}


def row(name: str) -> Callable[[Row], Row]:
    """Register the test of a row."""

    def register(test: Row) -> Row:
        ROWS[name] = test
        return test

    return register
