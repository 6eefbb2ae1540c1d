"""A node that answers oddly, row by row: what it meant is understood, or what it said is told; nothing is guessed."""

from collections.abc import AsyncIterator

import pytest

from tests.support.instance import Running, start_instance
from tests.support.odd_node import ASKED, BATCHED, FOLLOWED, OddNode, Row, rows
from tests.support.world import Agent, Wallet, World, address


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[OddNode]:
    async with OddNode() as node:
        yield node


@pytest.fixture(scope="module")
async def running(node: OddNode, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    running = await start_instance(tmp_path_factory.mktemp("odd"), {"TALON_RPC_31337": node.url})
    node.upstream = running.rpc_url
    yield running
    await running.stop()


@pytest.fixture(scope="module")
async def human(running: Running) -> AsyncIterator[World]:
    world = await World.enter(running.base_url, running.rpc_url, running.admin_email, running.admin_password)
    yield world
    await world.close()


@pytest.fixture(autouse=True)
def sound(node: OddNode) -> None:
    node.be_sound()


@pytest.fixture
async def wallet(human: World) -> Wallet:
    return await human.wallet()


@pytest.fixture(scope="module")
async def agent(human: World) -> Agent:
    return await human.agent()


@pytest.mark.parametrize("row", rows(ASKED))
async def test_a_submission(row: Row, node: OddNode, agent: Agent, wallet: Wallet) -> None:
    node.be(row)
    answer = await agent.submit(wallet, address(), "0.1")
    assert answer.status_code == row.right, answer.text
    for words in row.words:
        assert words in (answer.json().get("detail") or answer.json()["error_message"])


@pytest.mark.parametrize("row", rows(FOLLOWED))
async def test_a_transaction_that_is_mined(row: Row, node: OddNode, agent: Agent, wallet: Wallet) -> None:
    node.be(row)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    shown = (await agent.mined(sent.json()["id"]))["receipt"]
    assert {name: shown.get(name) for name in row.right} == row.right


async def test_an_endpoint_that_takes_few_calls_at_once(node: OddNode, agent: Agent, wallet: Wallet) -> None:
    for batches in (BATCHED["five, told in a list"], BATCHED["none"]):
        node.batches = batches
        sent = await agent.submit(wallet, address(), "0.1")
        assert sent.status_code == 201, sent.text
        assert (await agent.mined(sent.json()["id"]))["receipt"]["status"] == "success"
