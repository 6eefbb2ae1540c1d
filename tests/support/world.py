"""What a flow needs to speak to a running instance as its humans and agents do: over HTTP, with their own keys."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from eth_account import Account

from anvil.history import MAX_BLOCKS
from tests.support.instance import Running
from tests.support.pace import patient

ETHER = 10**18
SOAK = os.environ.get("TALON_SOAK") == "1"


class Chain:
    """The local chain as an outsider sees it: asserted against, never through Talon."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=30)

    async def rpc(self, method: str, *parameters: Any) -> Any:
        answer = (
            await self.http.post("", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})
        ).json()
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    async def fund(self, address: str, wei: int = 1_000 * ETHER) -> None:
        await self.rpc("anvil_setBalance", address, hex(wei))

    async def balance(self, address: str) -> int:
        return int(await self.rpc("eth_getBalance", address, "latest"), 16)

    async def nonce(self, address: str, block: str = "latest") -> int:
        return int(await self.rpc("eth_getTransactionCount", address, block), 16)

    async def transactions_from(self, address: str) -> list[dict[str, Any]]:
        """Every mined transaction of an account, found by walking all blocks that the chain still has."""
        newest = int(await self.rpc("eth_blockNumber"), 16)
        found = []
        for number in range(newest + 1):
            block = await self.rpc("eth_getBlockByNumber", hex(number), True)
            if block is None:
                assert newest - number > MAX_BLOCKS / 2, f"block {number} of {newest} is missing"
                continue
            found += [each for each in block["transactions"] if each["from"].lower() == address.lower()]
        return found

    async def receipt(self, tx_hash: str) -> dict[str, Any]:
        return await until(lambda: self.rpc("eth_getTransactionReceipt", tx_hash), what=f"receipt of {tx_hash}")

    async def beyond(self, number: int) -> bool:
        """Whether the chain has a block after `number`."""
        return int(await self.rpc("eth_blockNumber"), 16) > number

    async def wait_nonce(self, address: str, nonce: int, timeout_s: float = 60) -> None:
        async def reached() -> bool:
            return await self.nonce(address) >= nonce

        await until(reached, timeout_s, f"nonce {nonce} of {address}")

    async def close(self) -> None:
        await self.http.aclose()


async def until(
    ask: Callable[[], Awaitable[Any]], timeout_s: float = 60, what: str = "the condition", every_s: float = 0.2
) -> Any:
    """Poll until the answer is truthy; fails the test after `timeout_s` seconds."""
    deadline = asyncio.get_running_loop().time() + patient(timeout_s)
    while asyncio.get_running_loop().time() < deadline:
        if answer := await ask():
            return answer
        await asyncio.sleep(every_s)
    raise AssertionError(f"{what} did not come within {timeout_s} s")


@dataclass
class Wallet:
    """A key behind the HSM, by its path; `private_key` only where a test imported it."""

    path: str
    address: str
    private_key: bytes | None = field(default=None, repr=False)


@dataclass
class Agent:
    """An agent and its key, as the agent's own program holds them."""

    id: str
    http: httpx.AsyncClient
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"/v1/agents/{self.id}/transactions"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.post(f"{self.url}{path}", json=body, headers=self.headers | (headers or {}))

    async def submit(
        self, wallet: Wallet, to: str, value: str = "0", idempotency_key: str | None = None, **more: Any
    ) -> httpx.Response:
        body = {"to": to, "value": value, "chain": "anvil", "signing_key_path": wallet.path} | more
        return await self.post("", body, {"Idempotency-Key": idempotency_key} if idempotency_key else None)

    async def sign(self, wallet: Wallet, to: str, value: str = "0", **more: Any) -> httpx.Response:
        return await self.post(
            "/sign", {"to": to, "value": value, "chain": "anvil", "signing_key_path": wallet.path} | more
        )

    async def simulate(self, wallet: Wallet, to: str, value: str = "0", **more: Any) -> httpx.Response:
        return await self.post(
            "/simulate", {"to": to, "value": value, "chain": "anvil", "signing_key_path": wallet.path} | more
        )

    async def get(self, transaction_id: str, include: str = "receipt,signing") -> dict[str, Any]:
        answer = await self.http.get(
            f"{self.url}/{transaction_id}", params={"include": include}, headers=self.headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def mined(self, transaction_id: str, timeout_s: float = 60) -> dict[str, Any]:
        async def ask() -> Any:
            shown = await self.get(transaction_id)
            return shown if "receipt" in shown else None

        return await until(ask, timeout_s, f"{transaction_id} mined")

    async def give_up(self, transaction_id: str) -> httpx.Response:
        return await self.post(f"/{transaction_id}/give-up", None)


@dataclass
class World:
    """A human with a vault, on a running instance."""

    http: httpx.AsyncClient
    chain: Chain
    token: str = field(repr=False)
    vault_id: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @classmethod
    @asynccontextmanager
    async def within(cls, running: Running) -> AsyncIterator[tuple[Running, "World"]]:
        """The first human of an instance that runs; both end behind it."""
        try:
            world = await cls.of(running)
            try:
                yield running, world
            finally:
                await world.close()
        finally:
            await running.stop()

    @classmethod
    async def of(cls, running: Running) -> "World":
        """The first human of an instance."""
        return await cls.enter(running.base_url, running.rpc_url, running.admin_email, running.admin_password)

    @classmethod
    async def enter(cls, base_url: str, rpc_url: str, email: str, password: str) -> "World":
        http = httpx.AsyncClient(base_url=base_url, timeout=60, limits=httpx.Limits(max_connections=256))
        answer = await http.post("/v1/auth/token", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        session = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        # a personal API key outlives the quarter of an hour that a session lasts
        answer = await http.post("/v1/auth/api-keys", json={"name": f"flow {uuid4()}"}, headers=session)
        assert answer.status_code == 201, answer.text
        world = cls(http, Chain(rpc_url), answer.json()["api_key"])
        vault = await world.post("/v1/vaults", {"name": f"flow {uuid4()}", "description": ""})
        world.vault_id = vault["id"]
        return world

    async def post(self, path: str, body: Any, status: int = 201) -> Any:
        answer = await self.http.post(path, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put_key(self, private_key: bytes | None = None, path: str | None = None) -> Wallet:
        """Import a key (a fresh one if none is given) at a path of its own and say where it is."""
        private_key = private_key or secrets.token_bytes(32)
        path = path or f"keys/{uuid4().hex}"
        answer = await self.http.put(
            f"/v1/vaults/{self.vault_id}/secrets/{path}",
            json={"type": "private_key", "value": f"0x{private_key.hex()}"},
            headers=self.headers,
        )
        assert answer.status_code == 201, answer.text
        return Wallet(path, Account.from_key(private_key).address, private_key)

    async def wallet(self, wei: int = 1_000 * ETHER) -> Wallet:
        """A fresh key with funds on the local chain."""
        wallet = await self.put_key()
        await self.chain.fund(wallet.address, wei)
        return wallet

    async def agent(self, http: httpx.AsyncClient | None = None, **fields: Any) -> Agent:
        """An agent with Intents on, any guardrails given, and a policy that grants every key of the vault."""
        created = await self.post("/v1/agents", {"name": f"agent {uuid4()}", "intents_api_enabled": True} | fields)
        agent_id = created["agent"]["id"]
        await self.post(
            f"/v1/vaults/{self.vault_id}/policies",
            {
                "secret_path_pattern": "keys/**",
                "principal_type": "agent",
                "principal_id": agent_id,
                "permissions": ["read"],
            },
        )
        return Agent(agent_id, http or self.http, created["api_key"])

    async def close(self) -> None:
        await self.chain.close()
        await self.http.aclose()


def address() -> str:
    """A fresh address nobody has a key for."""
    return Account.create().address
