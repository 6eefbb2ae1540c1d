"""An agent's signing_key_path stands for one secret: nobody puts another key in its place but a human who may."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from eth_account import Account

from tests.support.people import SomeBody, bearer, join, sign_up
from tests.support.world import Agent, Wallet, World, address


@dataclass
class Member:
    """A plain member with a vault of his own, older than any that the world's human makes from now on."""

    person: SomeBody
    headers: dict[str, str]
    vault_id: str

    async def offer_key(self, agent: Agent, path: str) -> str:
        """Put a key of his own at the path in his vault, and let the agent read there."""
        http, vault = self.person.http, f"/v1/vaults/{self.vault_id}"
        made = await http.put(
            f"{vault}/secrets/{path}",
            json={"type": "private_key", "value": Account.create().key.to_0x_hex()},
            headers=self.headers,
        )
        assert made.status_code == 201, made.text
        grant = {"secret_path_pattern": "keys/**", "principal_type": "agent", "principal_id": agent.id}
        granted = await http.post(f"{vault}/policies", json={**grant, "permissions": ["read"]}, headers=self.headers)
        assert granted.status_code == 201, granted.text
        return str(made.json()["metadata"]["address"])


@pytest.fixture
async def member(world: World, database: psycopg.AsyncConnection) -> Member:
    person = await sign_up(world, database)
    await join(database, person, world)
    headers = bearer(await person.log_in())
    made = await world.http.post("/v1/vaults", json={"name": f"his {uuid4()}"}, headers=headers)
    assert made.status_code == 201, made.text
    return Member(person, headers, made.json()["id"])


@pytest.fixture
async def human(world: World, member: Member) -> World:
    """The same human with a vault younger than the member's."""
    vault = await world.post("/v1/vaults", {"name": f"younger {uuid4()}", "description": ""})
    return World(world.http, world.chain, world.token, vault["id"])


async def sender(agent: Agent, wallet: Wallet) -> str:
    """Whose signature the agent gets for the path."""
    answer = await agent.sign(wallet, address(), "0", gas_limit=21_000)
    assert answer.status_code == 200, answer.text
    return str(Account.recover_transaction(answer.json()["signed_tx"]))


async def bound(human: World, agent: Agent) -> list[dict[str, Any]]:
    answer = await human.http.get(f"/v1/agents/{agent.id}/signing-keys", headers=human.headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["signing_keys"])


async def bind(human: World, agent: Agent, path: str, vault_id: str) -> httpx.Response:
    body = {"signing_key_path": path, "vault_id": vault_id}
    return await human.http.put(f"/v1/agents/{agent.id}/signing-keys", json=body, headers=human.headers)


async def test_a_member_with_an_older_vault_does_not_become_the_wallet(human: World, member: Member) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    assert await bound(human, agent) == []
    assert await sender(agent, wallet) == wallet.address
    (first,) = await bound(human, agent)
    his = await member.offer_key(agent, wallet.path)

    assert await sender(agent, wallet) == wallet.address

    assert first | {"bound_at": ""} == {
        "signing_key_path": wallet.path,
        "vault_id": human.vault_id,
        "secret_id": first["secret_id"],
        "address": wallet.address,
        "bound_by": f"agent:{agent.id}",
        "bound_at": "",
    }
    # nor when the wallet's key is not there for a while
    url = f"/v1/vaults/{human.vault_id}/secrets/{wallet.path}"
    gone = await human.http.delete(url, params={"confirm": wallet.address}, headers=human.headers)
    assert gone.status_code == 204, gone.text
    for refused in (await agent.sign(wallet, address()), await agent.submit(wallet, address())):
        assert refused.status_code == 409, refused.text
        assert "signing-keys" in refused.json()["detail"]
    restored = await human.http.post(
        f"/v1/vaults/{human.vault_id}/secret-restore/{wallet.path}", headers=human.headers
    )
    assert restored.is_success, restored.text
    assert await sender(agent, wallet) == wallet.address

    # until somebody who may says so
    answer = await bind(human, agent, wallet.path, member.vault_id)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["address"], answer.json()["vault_id"]) == (his, member.vault_id)
    assert answer.json()["bound_by"].startswith("user:")
    assert await sender(agent, wallet) == his
    assert await bound(human, agent) == [answer.json()]


async def test_a_humans_word_comes_before_the_first_signature(human: World, member: Member) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await member.offer_key(agent, wallet.path)
    answer = await bind(human, agent, wallet.path, human.vault_id)
    assert answer.status_code == 200, answer.text
    assert await sender(agent, wallet) == wallet.address


async def test_a_new_version_by_a_human_is_the_word(human: World) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    assert await sender(agent, wallet) == wallet.address
    key = Account.create()
    answer = await human.http.put(
        f"/v1/vaults/{human.vault_id}/secrets/{wallet.path}",
        json={"type": "private_key", "value": key.key.to_0x_hex()},
        params={"confirm": wallet.address},
        headers=human.headers,
    )
    assert answer.status_code == 201, answer.text
    assert await sender(agent, wallet) == key.address
    assert [each["address"] for each in await bound(human, agent)] == [key.address]


async def test_first_signatures_at_once_bind_once(human: World, database: psycopg.AsyncConnection) -> None:
    agent, wallets = await human.agent(), [await human.wallet() for _ in range(2)]
    answers = await asyncio.gather(
        *(agent.submit(wallet, address(), "0") for wallet in wallets for _ in range(4)),
        *(agent.sign(wallet, address(), "0") for wallet in wallets for _ in range(2)),
    )
    assert {answer.status_code for answer in answers} == {200, 201}, [answer.text for answer in answers]
    assert {each["signing_key_path"] for each in await bound(human, agent)} == {wallet.path for wallet in wallets}
    found = await database.execute(
        "SELECT details->>'signing_key_path' FROM audit_events WHERE action = 'agent.bind_signing_key'"
        " AND resource_id = %s",
        (agent.id,),
    )
    assert sorted(row[0] for row in await found.fetchall()) == sorted(wallet.path for wallet in wallets)


async def test_who_may_bind(human: World, member: Member) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    body = {"signing_key_path": wallet.path, "vault_id": human.vault_id}
    url = f"/v1/agents/{agent.id}/signing-keys"
    for headers in (member.headers, agent.headers):
        assert (await human.http.put(url, json=body, headers=headers)).status_code == 403
        assert (await human.http.get(url, headers=headers)).status_code == 403
    assert (await bind(human, agent, "keys/nothing", human.vault_id)).status_code == 404
    assert (await bind(human, agent, wallet.path, member.vault_id)).status_code == 404
    assert (await bind(human, agent, wallet.path, str(uuid4()))).status_code == 404
    assert (await bind(human, agent, "keys//x", human.vault_id)).status_code == 400
    note = await human.http.put(
        f"/v1/vaults/{human.vault_id}/secrets/keys/note", json={"value": "no key"}, headers=human.headers
    )
    assert note.status_code == 201
    assert (await bind(human, agent, "keys/note", human.vault_id)).status_code == 400
    stranger = Agent(str(uuid4()), agent.http, agent.key)
    assert (await bind(human, stranger, wallet.path, human.vault_id)).status_code == 404
    assert await bound(human, agent) == []
