"""Where one endpoint is all there is, without the history that would show who used a key before it came here."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.flows.test_believable_counts import ABSURD, says
from tests.support.faulty_rpc import Answer, Drop
from tests.support.instance import Running, start_instance
from tests.support.odd_node import COUNT, RECEIPT, OddNode
from tests.support.world import World, address


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[OddNode]:
    async with OddNode() as node:
        yield node


@pytest.fixture(scope="module")
async def running(node: OddNode, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    running = await start_instance(tmp_path_factory.mktemp("one"), {"TALON_RPC_31337": node.url})
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


async def test_a_used_key_without_its_history_goes_on_where_it_stands(human: World) -> None:
    """No block shows who used the nonces; first use, and once more far above what we gave out."""
    wallet, agent = await human.wallet(), await human.agent()
    for count in (500, 900):
        await human.chain.rpc("anvil_setNonce", wallet.address, hex(count))
        sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        assert sent.status_code == 201, sent.text
        assert (await agent.mined(sent.json()["id"]))["nonce"] == count


async def test_a_pool_far_above_the_blocks_is_not_believed(human: World, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(500))
    says(node, pending=517)
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 503, sent.text


async def test_a_count_of_blocks_that_lies_leads_one_payment_astray_and_no_more(human: World, node: OddNode) -> None:
    """The payment waits and counts; nothing is signed beside it, by the next lie or when it is taken back."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    node.faults["eth_sendRawTransaction"] = Drop(forward=False)
    says(node, count=ABSURD)
    sent = await agent.submit(wallet, to := address(), "0.4", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    says(node, count=2 * ABSURD)
    refused = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert refused.status_code == 503, refused.text
    del node.faults[COUNT]
    refused = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert refused.status_code == 503, refused.text
    assert "resynchronise" in refused.json()["detail"]
    node.be_sound()
    await human.post(f"/v1/wallets/anvil/{wallet.address}/resync", {}, status=200)
    # it is given up and still counts, so it cannot be paid a second time beyond the limit
    assert (await agent.submit(wallet, to, "0.7", gas_limit=21_000)).status_code == 403
    again = await agent.submit(wallet, to, "0.4", gas_limit=21_000)
    assert (await agent.mined(again.json()["id"]))["nonce"] == 0
    assert await human.chain.balance(to) == 4 * 10**17


async def test_one_that_is_never_seen_mined_holds_up_no_other(human: World, running: Running, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    sent = [await agent.submit(wallet, address(), "0.01", gas_limit=21_000) for _ in range(20)]
    for each in sent:
        await agent.mined(each.json()["id"])
    # what became of the first cannot be read, then and later
    node.faults[RECEIPT] = Answer(None)
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        await database.execute(
            "UPDATE transactions SET status = 'broadcast', final_at = NULL, block_number = NULL, block_hash = NULL,"
            " block_at = NULL WHERE id = %s",
            (sent[0].json()["id"],),
        )
        after = await agent.submit(wallet, address(), "0.01", gas_limit=21_000)
        assert after.status_code == 201, after.text
        found = await database.execute("SELECT nonce FROM transactions WHERE id = %s", (after.json()["id"],))
        assert await found.fetchone() == (20,)
