"""Somebody else signs with a wallet's key: at the start and in running, with keys born here and from outside."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from tests.support.faulty_rpc import Answer, Change, Drop, Item
from tests.support.instance import Running, start_instance
from tests.support.odd_node import COUNT, EVERY, LATEST, OddNode, Row
from tests.support.outside import (
    begin_anew,
    born_wallet,
    external_chain,
    imported_wallet,
    lost_and_begun_anew,
    used_elsewhere,
)
from tests.support.published import assert_declared
from tests.support.world import SOAK, Agent, Chain, Wallet, World, address, until

CHAINS = {"base": 8453, "optimism": 10}
SILENT = Row({EVERY: Drop(forward=False)})


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with external_chain(8453) as base, external_chain(10) as optimism:
        yield {"base": base, "optimism": optimism}


@pytest.fixture(scope="module")
async def nodes(urls: dict[str, str]) -> AsyncIterator[dict[str, list[OddNode]]]:
    """Two endpoints of the first chain, one of the second."""
    async with AsyncExitStack() as stack:
        yield {
            "base": [await stack.enter_async_context(OddNode(urls["base"])) for _ in range(2)],
            "optimism": [await stack.enter_async_context(OddNode(urls["optimism"]))],
        }


@pytest.fixture(scope="module")
async def running(
    nodes: dict[str, list[OddNode]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    endpoints = {f"TALON_RPC_{CHAINS[name]}": ",".join(each.url for each in some) for name, some in nodes.items()}
    started = await start_instance(tmp_path_factory.mktemp("outside"), endpoints)
    yield started
    await started.stop()


@pytest.fixture(scope="module")
async def database(running: Running) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def base(urls: dict[str, str]) -> AsyncIterator[Chain]:
    chain = Chain(urls["base"])
    yield chain
    await chain.close()


@pytest.fixture
async def optimism(urls: dict[str, str]) -> AsyncIterator[Chain]:
    chain = Chain(urls["optimism"])
    yield chain
    await chain.close()


@pytest.fixture(autouse=True)
async def sound(nodes: dict[str, list[OddNode]], database: psycopg.AsyncConnection) -> AsyncIterator[None]:
    yield
    for each in (node for some in nodes.values() for node in some):
        each.be_sound()
    await database.execute("UPDATE restores SET opened_at = clock_timestamp() WHERE opened_at IS NULL")
    # what one test did elsewhere is not the next one's
    await database.execute("UPDATE wallets SET stopped_at = NULL, accounted_to = next_nonce + 1000")


async def pay(agent: Agent, wallet: Wallet, chain: str = "base", **more: Any) -> Any:
    return await agent.submit(wallet, address(), "0.1", chain=chain, gas_limit=21_000, **more)


async def paid(agent: Agent, wallet: Wallet, chain: str = "base") -> Any:
    """A payment that is mined."""
    sent = await pay(agent, wallet, chain)
    assert sent.status_code == 201, sent.text
    return await agent.mined(sent.json()["id"])


def path_of(wallet: Wallet, chain: str = "base") -> str:
    return f"/v1/wallets/{chain}/{wallet.address}"


async def stopped(human: World, wallet: Wallet, chain: str = "base") -> Any:
    async def look() -> Any:
        shown = (await human.http.get(path_of(wallet, chain), headers=human.headers)).json()
        return shown if "stopped_at" in shown else None

    return await until(look, what="the stop")


async def mails(human: World, database: psycopg.AsyncConnection, wallet: Wallet) -> list[str]:
    rows = await database.execute("SELECT subject FROM outbox_mails WHERE subject LIKE %s", (f"%{wallet.address}%",))
    return [row[0] for row in await rows.fetchall()]


async def test_a_wallet_born_here_that_somebody_else_uses_stops_alone_until_a_human_opens_it(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, wallet, other = await human.agent(), await born_wallet(human, base), await born_wallet(human, base)
    await paid(agent, wallet)
    await paid(agent, other)
    await used_elsewhere(base, wallet)
    refused = await until(lambda: _refused(agent, wallet), what="the refusal")
    body = assert_declared(refused)
    assert (refused.status_code, body["type"]) == (409, "wallet_stopped")
    assert "base counts 2 transactions of it, and nonce 1 was not signed here" in body["detail"]
    assert (await agent.sign(wallet, address(), "0.1", chain="base")).status_code == 409
    await paid(agent, other)
    shown = await stopped(human, wallet)
    assert "born in this HSM" in shown["stopped_why"]
    assert await until(lambda: mails(human, database, wallet)) == [f"A wallet is stopped: {wallet.address} on base"]

    # a start changes nothing of that, nor does it take for an old copy what was known before
    await begin_anew(database)
    assert (await pay(agent, wallet)).json()["type"] == "wallet_stopped"
    await paid(agent, other)

    # what an agent says does not count, nor another count, nor a resync, which is for keys from outside
    for credential, count, right in ((agent.key, 2, 403), (human.token, 1, 409)):
        answer = await human.http.post(
            f"{path_of(wallet)}/open", json={"mined": count}, headers={"Authorization": f"Bearer {credential}"}
        )
        assert answer.status_code == right, answer.text
    await human.post(f"{path_of(wallet)}/resync", {}, status=200)
    assert (await pay(agent, wallet)).status_code == 409
    opened = await human.post(f"{path_of(wallet)}/open", {"mined": 2}, status=200)
    assert "stopped_at" not in opened
    assert (await paid(agent, wallet))["nonce"] == 2
    for action in ("wallet.stop", "wallet.open"):
        events = await human.http.get(f"/v1/audit/events?action={action}", headers=human.headers)
        assert [each for each in events.json()["events"] if wallet.address in each["resource_id"]], action


async def _refused(agent: Agent, wallet: Wallet) -> Any:
    answer = await pay(agent, wallet)
    return answer if answer.status_code == 409 else None


async def test_our_own_payments_are_no_alarm_however_many_are_under_way(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    """Blocks hold some before our rows are committed, some were only signed, each answer is held against them."""
    agent, wallet = await human.agent(), await born_wallet(human, base)
    number = 400 if SOAK else 40
    looking = asyncio.create_task(looked_at(human, wallet))
    answers = await asyncio.gather(
        *(
            pay(agent, wallet) if each % 4 else agent.sign(wallet, address(), "0.1", chain="base")
            for each in range(number)
        )
    )
    looking.cancel()
    assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
    given_up = await agent.give_up((await pay(agent, wallet, max_fee_per_gas="1")).json()["id"])
    assert given_up.status_code == 200, given_up.text
    await base.wait_nonce(wallet.address, number - number // 4 + 1)
    await paid(agent, wallet)
    assert "stopped_at" not in (await human.http.get(path_of(wallet), headers=human.headers)).json()
    rows = await database.execute("SELECT count(*) FROM restores WHERE opened_at IS NULL")
    assert await rows.fetchone() == (0,)


async def looked_at(human: World, wallet: Wallet) -> None:
    while True:
        await human.http.get(path_of(wallet), headers=human.headers)


async def test_a_payment_that_waits_for_the_wallet_meets_the_stop(
    human: World, base: Chain, running: Running, database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(), await born_wallet(human, base)
    await paid(agent, wallet)
    account = bytes.fromhex(wallet.address[2:])
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as holder:
        await holder.execute("SELECT 1 FROM wallets WHERE address = %s FOR UPDATE", (account,))
        waiting = asyncio.create_task(pay(agent, wallet))

        async def waits() -> bool:
            rows = await database.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return await rows.fetchone() != (0,)

        await until(waits, what="a payment behind every look but the last", every_s=0.05)
        await holder.execute(
            "UPDATE wallets SET stopped_at = now(), stopped_why = 'so.' WHERE address = %s", (account,)
        )
    refused = await waiting
    assert (refused.status_code, refused.json()["type"]) == (409, "wallet_stopped"), refused.text
    assert await base.nonce(wallet.address, "pending") == 1


async def test_a_deposit_from_the_chain_below_uses_a_nonce_and_is_no_alarm(
    human: World, base: Chain, nodes: dict[str, list[OddNode]]
) -> None:
    """OP chains count it for the account that sent it on Ethereum; it has no signature there."""
    agent, wallet = await human.agent(), await born_wallet(human, base)
    await paid(agent, wallet)
    for node in nodes["base"]:
        node.faults[LATEST] = deposits_of(wallet)
    await used_elsewhere(base, wallet, 2)
    assert (await paid(agent, wallet))["nonce"] == 3
    shown = (await human.http.get(path_of(wallet), headers=human.headers)).json()
    assert "stopped_at" not in shown
    # whoever shows no deposit there is enough to stop it
    for node in nodes["base"]:
        node.be_sound()
    await used_elsewhere(base, wallet)
    assert (await until(lambda: _refused(agent, wallet), what="the refusal")).status_code == 409


def deposits_of(wallet: Wallet) -> Change:
    def change(item: Item) -> Item:
        result = item.get("result")
        if not isinstance(result, dict) or not any(isinstance(each, dict) for each in result["transactions"]):
            return item
        sent = [
            each | {"type": "0x7e"}
            if each["from"].lower() == wallet.address.lower() and each["value"] == "0x1"
            else each
            for each in result["transactions"]
        ]
        return item | {"result": result | {"transactions": sent}}

    return Change(how=change)


async def test_a_wallet_born_here_that_was_used_before_its_first_use_here_stops(human: World, base: Chain) -> None:
    agent, wallet = await human.agent(), await born_wallet(human, base)
    await used_elsewhere(base, wallet)
    refused = await pay(agent, wallet)
    assert (refused.status_code, refused.json()["type"]) == (409, "wallet_stopped"), refused.text


async def test_the_local_chain_is_talons_own_and_not_asked(human: World) -> None:
    agent, wallet = await human.agent(), await born_wallet(human, human.chain)
    for nonce in (0, 2):
        sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        assert sent.status_code == 201, sent.text
        assert (await agent.mined(sent.json()["id"]))["nonce"] == nonce
        await used_elsewhere(human.chain, wallet)
    assert "stopped_at" not in (await human.http.get(path_of(wallet, "anvil"), headers=human.headers)).json()


async def test_a_key_from_outside_goes_along_and_its_people_are_told_once(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(), await imported_wallet(human, base)
    await used_elsewhere(base, wallet, 3)
    assert (await paid(agent, wallet))["nonce"] == 3
    # its history from before it came here is no news
    assert await mails(human, database, wallet) == []
    await used_elsewhere(base, wallet, 2)
    assert (await paid(agent, wallet))["nonce"] == 6
    assert await until(lambda: mails(human, database, wallet)) == [
        f"A wallet is used elsewhere: {wallet.address} on base"
    ]
    # not again on the same day, whatever the key is used for
    await used_elsewhere(base, wallet)
    assert (await paid(agent, wallet))["nonce"] == 8
    if SOAK:
        await asyncio.sleep(7)
    assert len(await mails(human, database, wallet)) == 1
    if SOAK:
        await database.execute("UPDATE wallets SET told_at = told_at - interval '25 hours'")

        async def told_again() -> bool:
            return len(await mails(human, database, wallet)) == 2

        await until(told_again, what="the next day's mail")


async def test_at_a_start_a_key_from_outside_that_is_ahead_stops_alone_until_it_is_resynchronised(
    human: World, base: Chain, running: Running, database: psycopg.AsyncConnection
) -> None:
    agent, wallet, other = await human.agent(), await imported_wallet(human, base), await born_wallet(human, base)
    await paid(agent, wallet)
    await paid(agent, other)
    await lost_and_begun_anew(running, database, base, wallet)
    refused = await pay(agent, wallet)
    assert (refused.status_code, refused.json()["type"]) == (409, "wallet_stopped"), refused.text
    await paid(agent, other)
    await human.post(f"{path_of(wallet)}/resync", {}, status=200)
    assert (await paid(agent, wallet))["nonce"] == 2


async def test_at_a_start_a_wallet_born_here_that_is_ahead_freezes_the_instance(
    human: World, base: Chain, optimism: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, wallet, other = await human.agent(), await born_wallet(human, base), await born_wallet(human, optimism)
    await paid(agent, wallet)
    await paid(agent, other, "optimism")
    # in one stroke, as for a start: in running this wallet alone would stop
    await base.rpc("anvil_setNonce", wallet.address, hex(5))
    await begin_anew(database)
    for which, chain in ((wallet, "base"), (other, "optimism")):
        refused = await pay(agent, which, chain)
        assert (refused.status_code, refused.json().get("type")) == (503, "restored_copy"), refused.text
        assert "older copy" in refused.json()["detail"]
        assert wallet.address not in refused.text


async def test_at_a_start_a_wallet_born_here_that_this_copy_never_used_freezes_the_instance_too(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    """Its first payment was after this copy was made, and of the same day as what the agent would spend now."""
    agent, never, other = await human.agent(), await born_wallet(human, base), await born_wallet(human, base)
    await paid(agent, other)
    await used_elsewhere(base, never)
    # in running it would be the wallet's own affair
    await paid(agent, other)
    await begin_anew(database)
    refused = await pay(agent, other)
    assert (refused.status_code, refused.json().get("type")) == (503, "restored_copy"), refused.text
    # and it is listed, for the other tests of this instance too
    account = bytes.fromhex(never.address[2:])
    await database.execute("INSERT INTO wallets (chain_id, address, next_nonce) VALUES (8453, %s, 1)", (account,))


async def test_a_chain_that_does_not_answer_keeps_only_its_own_wallets_waiting(
    human: World, base: Chain, optimism: Chain, nodes: dict[str, list[OddNode]], database: psycopg.AsyncConnection
) -> None:
    agent, here, there = await human.agent(), await born_wallet(human, base), await born_wallet(human, optimism)
    await paid(agent, here)
    await paid(agent, there, "optimism")
    for node in nodes["optimism"]:
        node.be(SILENT)
    await begin_anew(database)
    refused = await pay(agent, there, "optimism")
    assert (refused.status_code, "has not been asked" in refused.json()["detail"]) == (503, True), refused.text
    await paid(agent, here)
    for node in nodes["optimism"]:
        node.be_sound()

    async def again() -> bool:
        return (await pay(agent, there, "optimism")).status_code == 201

    await until(again, what="the chain that answers again")


@pytest.mark.parametrize("lie", [7, 0])
async def test_no_single_endpoint_of_two_says_who_has_the_key(
    lie: int,
    human: World,
    base: Chain,
    running: Running,
    nodes: dict[str, list[OddNode]],
    database: psycopg.AsyncConnection,
) -> None:
    """One names seven transactions and shows none; or one hides what the other shows with the key's own signature."""
    agent, wallet = await human.agent(), await imported_wallet(human, base)
    await paid(agent, wallet)
    liar = nodes["base"][0]
    liar.faults[COUNT] = only_for(wallet, hex(lie) if lie else "0x1")
    if lie == 0:
        await lost_and_begun_anew(running, database, base, wallet)
        # proven by the signature itself, whatever the liar says
        refused = await pay(agent, wallet)
        assert (refused.status_code, refused.json().get("type")) == (409, "wallet_stopped"), refused.text
        return
    await begin_anew(database)
    refused = await pay(agent, wallet)
    assert (refused.status_code, "none shows the others" in refused.json()["detail"]) == (503, True), refused.text
    liar.be_sound()

    async def again() -> bool:
        return (await pay(agent, wallet)).status_code == 201

    await until(again, what="endpoints that agree")


def only_for(wallet: Wallet, count: str) -> Any:
    fault = Answer(count)
    fault.when = lambda params: isinstance(params, list) and wallet.address.lower() in str(params).lower()
    return fault
