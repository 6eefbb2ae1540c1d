"""Where one endpoint is all there is, without the history that would show who used a key before it came here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest

from tests.flows.test_believable_counts import ABSURD, says
from tests.support.faulty_rpc import Answer, Drop, Hold
from tests.support.instance import Running
from tests.support.odd_node import COUNT, RECEIPT, SEND, SIMULATE, OddNode
from tests.support.world import Agent, Wallet, World, address, until

Astray = Callable[[Agent, Wallet], Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
async def database(running: Running) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as connection:
        yield connection


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


async def sent_astray(agent: Agent, wallet: Wallet) -> httpx.Response:
    return await agent.submit(wallet, address(), "0.1", gas_limit=21_000)


async def signed_astray(agent: Agent, wallet: Wallet) -> httpx.Response:
    return await agent.sign(wallet, address(), "0.1", gas_limit=21_000)


async def given_up_astray(agent: Agent, wallet: Wallet) -> httpx.Response:
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    given_up = await agent.give_up(sent.json()["id"])
    assert given_up.status_code == 200, given_up.text
    return sent


ASTRAY = pytest.mark.parametrize("astray", [sent_astray, signed_astray, given_up_astray])


async def nonces(database: psycopg.AsyncConnection, agent: Agent) -> list[int]:
    rows = await database.execute(
        "SELECT nonce FROM transactions WHERE agent_id = %s AND nonce IS NOT NULL ORDER BY created_at", (agent.id,)
    )
    return [nonce async for (nonce,) in rows]


@ASTRAY
async def test_the_lie_told_again_leads_nothing_further(
    human: World, node: OddNode, database: psycopg.AsyncConnection, astray: Astray
) -> None:
    """Whatever the first lie got signed; higher, lower, by either path, and again after a human's resync."""
    wallet, agent = await human.wallet(), await human.agent()
    node.faults[SEND] = Drop(forward=False)
    says(node, count=ABSURD)
    assert (await astray(agent, wallet)).is_success
    for resynchronised in (False, True):
        for lie in (2 * ABSURD, ABSURD // 2, ABSURD + 40):
            says(node, count=lie)
            for again in (sent_astray, signed_astray):
                refused = await again(agent, wallet)
                assert refused.status_code == 503, (lie, resynchronised, refused.text)
                assert "resynchronise" in refused.json()["detail"]
        del node.faults[COUNT]
        if not resynchronised:
            await human.post(f"/v1/wallets/anvil/{wallet.address}/resync", {}, status=200)
    assert await nonces(database, agent) == [ABSURD]
    # the truth is believed
    node.be_sound()
    sent = await sent_astray(agent, wallet)
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 0


async def test_lies_within_the_slack_lead_no_further_by_giving_up(
    human: World, node: OddNode, database: psycopg.AsyncConnection
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    node.faults[SEND] = Drop(forward=False)
    for lie in range(16, 16 * 8, 16):
        says(node, count=lie)
        sent = await sent_astray(agent, wallet)
        if sent.is_success:
            await agent.give_up(sent.json()["id"])
    assert max(await nonces(database, agent)) <= 32


async def test_lies_told_to_many_at_once_lead_them_no_further_than_one(
    human: World, node: OddNode, database: psycopg.AsyncConnection
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    hold = node.faults[SIMULATE] = Hold()
    waiting = []
    for factor in range(1, 4):
        says(node, count=factor * ABSURD)
        asked = node.count(SIMULATE)
        waiting.append(asyncio.create_task(agent.sign(wallet, address(), "0.1")))

        async def simulating(asked: int = asked) -> bool:
            return node.count(SIMULATE) > asked

        await until(simulating, what="the simulation", every_s=0.02)
    hold.released.set()
    answers = await asyncio.gather(*waiting)
    assert sorted(each.status_code for each in answers) == [200, 409, 409], [each.text for each in answers]
    assert len(await nonces(database, agent)) == 1


@pytest.mark.parametrize("first", [16, ABSURD])
@pytest.mark.parametrize("path", ["submit", "sign"])
async def test_lies_in_steps_of_the_slack_to_many_at_once_lead_no_further(
    human: World, node: OddNode, database: psycopg.AsyncConnection, path: str, first: int
) -> None:
    """All believed before any was signed, and each only the slack above the tracker that the one before left."""
    wallet, agent = await human.wallet(), await human.agent()
    node.faults[SEND] = Drop(forward=False)
    waiting = []
    for step in range(5):
        says(node, count=first + 16 * step)
        hold = node.faults[SIMULATE] = Hold()
        asked = node.count(SIMULATE)
        waiting.append((hold, asyncio.create_task(getattr(agent, path)(wallet, address(), "0.1"))))

        async def simulating(asked: int = asked) -> bool:
            return node.count(SIMULATE) > asked

        await until(simulating, what="the simulation", every_s=0.02)
    answers = []
    for hold, task in waiting:
        hold.released.set()
        answers.append(await task)
    assert [each.is_success for each in answers] == [True, True, False, False, False], [each.text for each in answers]
    assert {each.status_code for each in answers[2:]} == {409}
    assert await nonces(database, agent) == [first, first + 16]


async def test_clocks_of_hosts_that_differ_let_no_second_lie_through(
    human: World, node: OddNode, database: psycopg.AsyncConnection
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    hold = node.faults[SIMULATE] = Hold()
    says(node, count=2 * ABSURD)
    asked = node.count(SIMULATE)
    waiting = asyncio.create_task(agent.sign(wallet, address(), "0.1"))

    async def simulating() -> bool:
        return node.count(SIMULATE) > asked

    await until(simulating, what="the simulation", every_s=0.02)
    del node.faults[SIMULATE]
    says(node, count=ABSURD)
    assert (await signed_astray(agent, wallet)).is_success
    # as a host would write it whose clock is behind
    await database.execute(
        "UPDATE transactions SET created_at = created_at - interval '1 hour' WHERE agent_id = %s", (agent.id,)
    )
    hold.released.set()
    refused = await waiting
    assert refused.status_code == 409, refused.text
    assert await nonces(database, agent) == [ABSURD]


async def test_signatures_that_were_handed_out_do_not_stop_a_used_key(human: World, node: OddNode) -> None:
    """Signed twice where the chain stands, sent or not; used elsewhere, a human's word is asked once."""
    wallet, agent = await human.wallet(), await human.agent()
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(500))
    for _ in range(2):
        dropped = await signed_astray(agent, wallet)
        assert dropped.json()["nonce"] == 500, dropped.text
    # no block shows who used these
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(600))
    refused = await signed_astray(agent, wallet)
    assert refused.status_code == 503, refused.text
    assert f"/v1/wallets/anvil/{wallet.address.lower()}/resync" in refused.json()["detail"]
    await human.post(f"/v1/wallets/anvil/{wallet.address}/resync", {}, status=200)
    for count in (600, 700):
        await human.chain.rpc("anvil_setNonce", wallet.address, hex(count))
        sent = await sent_astray(agent, wallet)
        assert sent.is_success, sent.text
        assert (await agent.mined(sent.json()["id"]))["nonce"] == count


async def test_one_that_is_never_seen_mined_holds_up_no_other(human: World, running: Running, node: OddNode) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    sent = [await agent.submit(wallet, address(), "0.01", gas_limit=21_000) for _ in range(20)]
    for each in sent:
        await agent.mined(each.json()["id"])
    # what became of the first cannot be read, then and later
    first = sent[0].json()
    node.faults[RECEIPT] = Answer(None, when=lambda asked: asked == [first["tx_hash"]])
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        await database.execute(
            "UPDATE transactions SET status = 'broadcast', final_at = NULL, block_number = NULL, block_hash = NULL,"
            " block_at = NULL WHERE id = %s",
            (first["id"],),
        )
        after = await agent.submit(wallet, address(), "0.01", gas_limit=21_000)
        assert after.status_code == 201, after.text
        found = await database.execute("SELECT nonce FROM transactions WHERE id = %s", (after.json()["id"],))
        assert await found.fetchone() == (20,)
        await agent.mined(after.json()["id"])
        # nor where the key was used elsewhere
        await human.chain.rpc("anvil_setNonce", wallet.address, hex(100))
        after = await agent.submit(wallet, address(), "0.01", gas_limit=21_000)
        assert after.status_code == 201, after.text
        assert (await agent.mined(after.json()["id"]))["nonce"] == 100
        assert (await agent.get(first["id"]))["status"] == "broadcast"


async def test_what_lies_above_is_settled_although_what_comes_from_elsewhere_is_never_mined(
    human: World, node: OddNode, database: psycopg.AsyncConnection
) -> None:
    """The next nonce is 16 above the tracker for good, and what was signed before a resync 16 above that."""
    wallet, agent = await human.wallet(), await human.agent()
    node.faults[SEND] = Drop(forward=False)
    says(node, count=32)
    lost = await sent_astray(agent, wallet)
    assert lost.is_success, lost.text
    node.be_sound()
    await human.post(f"/v1/wallets/anvil/{wallet.address}/resync", {}, status=200)
    says(node, pending=16)

    async def accepted() -> bool:
        return (await sent_astray(agent, wallet)).is_success

    await until(accepted, what="the filler")
    assert await nonces(database, agent) == [32, 16]
    rows = await database.execute(
        "SELECT 1 FROM attempts WHERE transaction_id = %s AND kind = 'filler'", (lost.json()["id"],)
    )
    assert await rows.fetchone() is not None


@pytest.mark.parametrize(("astray", "far"), [(sent_astray, 100), (signed_astray, 12_000)])
async def test_what_lies_above_is_settled_on_a_humans_word_where_nothing_proves_the_count(
    human: World, node: OddNode, astray: Astray, far: int
) -> None:
    """A lie had it signed, a human took the wallet back, and then the key is used elsewhere up to there."""
    wallet, agent = await human.wallet(), await human.agent()
    node.faults[SEND] = Drop(forward=False)
    says(node, count=far)
    assert (await astray(agent, wallet)).is_success
    node.be_sound()
    resync = f"/v1/wallets/anvil/{wallet.address}/resync"
    await human.post(resync, {"free_signed_above": True}, status=200)
    # no block shows who used these
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(far - 2))
    refused = await sent_astray(agent, wallet)
    assert refused.status_code == 503, refused.text
    assert "resynchronise the wallet (POST /v1/wallets/" in refused.json()["detail"]
    await human.post(resync, {}, status=200)

    async def accepted() -> dict[str, Any] | None:
        sent = await sent_astray(agent, wallet)
        return sent.json() if sent.is_success else None

    sent = [await until(accepted, what="the filler") for _ in range(4)]
    for each in sent:
        await agent.mined(each["id"])
    # the one that was submitted there has its filler, the one that was handed out is displaced
    assert await human.chain.nonce(wallet.address) == far - 2 + 4 + (astray is sent_astray)
