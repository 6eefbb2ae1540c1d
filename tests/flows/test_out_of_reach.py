"""Every way of putting a signing key out of reach, played on real parts and undone: the same key signs again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from eth_account import Account

from tests.support.faulty_rpc import Answer, FaultyRpc
from tests.support.instance import Running
from tests.support.people import bearer, sign_up
from tests.support.world import ETHER, Agent, Wallet, World, address, until

CHAIN_ID = 900_031_337
REFUSED = (400, 403, 404, 410)


@pytest.fixture(scope="module")
async def mainland(world: World, instance: Running) -> AsyncIterator[FaultyRpc]:
    """The local chain's balances under the id of a chain that is no testnet."""
    async with FaultyRpc(instance.rpc_url) as rpc:
        rpc.faults["eth_chainId"] = Answer(hex(CHAIN_ID))
        body = {"name": "mainland", "display_name": "Mainland", "chain_id": CHAIN_ID, "rpc_url": rpc.url}
        chain = await world.post("/v1/admin/chains", body)
        yield rpc
        gone = await world.http.delete(f"/v1/admin/chains/{chain['id']}", headers=world.headers)
        assert gone.status_code == 204


@dataclass
class Owner:
    """A human with a vault, a key born in the HSM that holds coin, and an agent that signs with it."""

    world: World
    wallet: Wallet
    agent: Agent

    @property
    def vault(self) -> str:
        return f"/v1/vaults/{self.world.vault_id}"

    @property
    def secret(self) -> str:
        return f"{self.vault}/secrets/{self.wallet.path}"

    @property
    def version(self) -> str:
        return f"{self.vault}/secret-version/{self.wallet.path}"

    async def ask(self, method: str, url: str, confirm: str | None = None, body: Any = None) -> httpx.Response:
        params = {} if confirm is None else {"confirm": confirm}
        return await self.world.http.request(method, url, params=params, json=body, headers=self.world.headers)

    async def risk(self, method: str, url: str, confirm: str, body: Any = None) -> None:
        """Do it: asked first, then with the word."""
        asked = await self.ask(method, url, None, body)
        assert (asked.status_code, asked.json()["type"]) == (409, "confirmation_required"), asked.text
        assert asked.json()["addresses"] == [self.wallet.address]
        assert "native coin on mainland" in asked.json()["detail"]
        assert await self.signs()
        done = await self.ask(method, url, confirm, body)
        assert done.is_success, done.text

    async def undo(self, url: str, body: Any = None) -> None:
        done = await self.ask("POST", url, body=body)
        assert done.is_success, done.text

    async def signs(self) -> bool:
        """Whether the agent gets a signature, and that it is this key's."""
        answer = await self.agent.sign(self.wallet, address(), "0.001")
        if answer.status_code in REFUSED:
            return False
        assert answer.status_code == 200, answer.text
        assert Account.recover_transaction(answer.json()["signed_tx"]) == self.wallet.address
        return True


async def own(world: World, **generate: Any) -> Owner:
    """A vault of its own for this story."""
    vault = await world.post("/v1/vaults", {"name": f"reach {uuid4()}"})
    mine = World(world.http, world.chain, world.token, vault["id"])
    path = f"keys/{uuid4().hex}"
    made = await mine.post(f"/v1/vaults/{mine.vault_id}/secret-generate/{path}", generate)
    wallet = Wallet(path, made["metadata"]["address"])
    await mine.chain.fund(wallet.address, ETHER)
    return Owner(mine, wallet, await mine.agent())


async def deleted_and_squatted(it: Owner) -> None:
    await it.risk("DELETE", it.secret, it.wallet.address)
    squatted = await it.ask("PUT", it.secret, body={"type": "note", "value": "nothing here"})
    assert squatted.status_code == 201, squatted.text


async def restored(it: Owner) -> None:
    await it.undo(f"{it.vault}/secret-restore/{it.wallet.path}")
    read = await it.ask("GET", f"{it.vault}/secret-version/{it.wallet.path}/2")
    assert read.json()["value"] == "nothing here"


async def disabled(it: Owner) -> None:
    await it.risk("POST", f"{it.version}/1/disable", it.wallet.address.lower())


async def enabled(it: Owner) -> None:
    await it.undo(f"{it.version}/1/enable")


async def vault_deleted(it: Owner) -> None:
    await it.risk("DELETE", it.vault, "1")


async def vault_restored(it: Owner) -> None:
    await it.undo(f"{it.vault}/restore")


Step = Callable[[Owner], Awaitable[None]]


@pytest.mark.parametrize(
    ("out", "back"),
    [(deleted_and_squatted, restored), (disabled, enabled), (vault_deleted, vault_restored)],
    ids=["deleted", "disabled", "vault"],
)
async def test_out_of_reach_and_back(world: World, mainland: FaultyRpc, out: Step, back: Step) -> None:
    it = await own(world)
    assert await it.signs()
    await out(it)
    assert not await it.signs()
    await back(it)
    assert await it.signs()
    # not only a signature: the chain takes it
    sent = await it.agent.submit(it.wallet, address(), "0.001")
    assert sent.status_code == 201, sent.text
    await it.world.chain.wait_nonce(it.wallet.address, 1)


async def test_another_key_over_it(world: World, mainland: FaultyRpc) -> None:
    it = await own(world)
    other = {"type": "private_key", "value": f"KEY=0x{uuid4().hex}{uuid4().hex}"}
    await it.risk("PUT", it.secret, it.wallet.address, other)
    answer = await it.agent.sign(it.wallet, address(), "0")
    # another key than before, whatever it can pay for: never the old one's signature
    assert answer.status_code != 200 or Account.recover_transaction(answer.json()["signed_tx"]) != it.wallet.address
    # the other one holds nothing, so nobody is asked
    await it.undo(f"{it.version}/2/disable")
    assert await it.signs()


async def test_an_expiry(world: World, mainland: FaultyRpc) -> None:
    it = await own(world, expires_at=(datetime.now(UTC) + timedelta(seconds=3)).isoformat())

    async def over() -> bool:
        return not await it.signs()

    await until(over, what="the key's end")
    await it.undo(f"{it.version}/1/extend", {"expires_at": None})
    assert await it.signs()


async def test_an_agent_gets_none_of_it(world: World, mainland: FaultyRpc) -> None:
    it = await own(world)
    grant = {"principal_type": "agent", "principal_id": it.agent.id, "secret_path_pattern": "**"}
    await it.world.post(f"{it.vault}/policies", {**grant, "permissions": ["read", "write"]})
    it.world = World(it.world.http, it.world.chain, it.agent.key, it.world.vault_id)
    tried = [
        await it.ask(method, url, confirm, body)
        for confirm in (None, it.wallet.address)
        for method, url, body in (
            ("POST", f"{it.version}/1/disable", None),
            ("DELETE", it.secret, None),
            ("PUT", it.secret, {"type": "note", "value": "x"}),
            ("PUT", it.secret, {"type": "private_key", "value": "19" * 32}),
            ("POST", f"{it.vault}/secret-rotate/{it.wallet.path}", {}),
            ("DELETE", it.vault, None),
        )
    ]
    assert [answer.status_code for answer in tried] == [403] * 12
    assert await it.signs()


async def test_new_keys_of_the_vault_leave_it_in_reach(world: World, mainland: FaultyRpc) -> None:
    it = await own(world)
    await it.undo(f"{it.vault}/cmek", {"fingerprint": "cd" * 32})
    assert await it.signs()
    await it.undo(f"{it.vault}/rotate-key")
    assert await it.signs()


async def test_a_closed_account(world: World, mainland: FaultyRpc, database: psycopg.AsyncConnection[Any]) -> None:
    person, heir = await sign_up(world, database), await sign_up(world, database)
    it = await own(World(world.http, world.chain, (await person.api_key())[1]))
    assert await it.signs()
    await it.risk("DELETE", "/v1/auth/me", "1", {"confirmation": "DELETE MY ACCOUNT"})
    # the agent is gone with its organisation
    assert (await it.agent.sign(it.wallet, address(), "0.001")).status_code == 401
    listed = (await world.http.get("/v1/admin/orgs/closed", headers=world.headers)).json()["organisations"]
    assert person.org_id in {each["org_id"] for each in listed}
    # the vault, and the one of its agents' identity keys
    back = await world.post(f"/v1/admin/orgs/{person.org_id}/restore", {"owner_email": heir.email}, 200)
    assert (back["vaults"], back["agents"], back["owner_id"]) == (2, 1, heir.id)
    assert (await it.agent.sign(it.wallet, address(), "0.001")).status_code == 401
    # its new owner lets the agent act again: the policy is still there
    headers = bearer(await heir.log_in())
    url = f"/v1/agents/{it.agent.id}"
    assert (await world.http.patch(url, json={"is_active": True}, headers=headers)).status_code == 200
    rotated = await world.http.post(f"{url}/rotate-key", headers=headers)
    it.agent.key = rotated.json()["api_key"]
    assert await it.signs()


async def test_a_deletion_among_signatures(world: World, mainland: FaultyRpc) -> None:
    it = await own(world)
    signing = [asyncio.create_task(it.agent.sign(it.wallet, address(), "0")) for _ in range(12)]
    done = await it.ask("DELETE", it.secret, it.wallet.address)
    assert done.status_code == 204, done.text
    # whoever asks behind the answer gets nothing
    assert not await it.signs()
    for answer in await asyncio.gather(*signing):
        assert answer.status_code in (200, 404), answer.text
        if answer.status_code == 200:
            assert Account.recover_transaction(answer.json()["signed_tx"]) == it.wallet.address
    await it.undo(f"{it.vault}/secret-restore/{it.wallet.path}")
    assert await it.signs()
