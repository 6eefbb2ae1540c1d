"""A wallet that was led far above its chain: led there, looked at and taken back, as its people do it over HTTP."""

from typing import Any

from tests.flows.test_believable_counts import says
from tests.support.odd_node import OddNode
from tests.support.world import Agent, Wallet, World, address, until


async def submit_at(nodes: list[OddNode], agent: Agent, wallet: Wallet, nonce: int, value: str = "1") -> Any:
    """Have all endpoints say that `nonce` is next, and submit a transaction there; returns it."""
    for node in nodes:
        says(node, pending=nonce)
    sent = await agent.submit(wallet, to := address(), value, gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    for node in nodes:
        node.be_sound()
    assert (await agent.get(sent.json()["id"]))["nonce"] == nonce
    return sent.json() | {"to": to}


def path_of(wallet: Wallet) -> str:
    return f"/v1/wallets/anvil/{wallet.address}"


async def look(who: World, wallet: Wallet) -> Any:
    answer = await who.http.get(path_of(wallet), headers=who.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def resync(who: World, wallet: Wallet, **body: bool) -> Any:
    return await who.post(f"{path_of(wallet)}/resync", body, status=200)


async def submit_until_mined(human: World, agent: Agent, wallet: Wallet, count: int) -> list[str]:
    """Submit `count` transfers of nothing one after the other, waiting where a filler goes first; their hashes."""
    hashes = []
    for _ in range(count):

        async def accepted() -> Any:
            answer = await agent.submit(wallet, address(), "0", gas_limit=21_000)
            assert answer.status_code in (201, 503), answer.text
            return answer.json() if answer.status_code == 201 else None

        hashes.append((await until(accepted, 60, "the filler"))["tx_hash"])
    return hashes
