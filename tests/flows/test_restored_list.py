"""What a frozen copy finds on its chain: listed, proven, counted, filled, and not paid twice by mistake."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from eth_account import Account

from tests.support.faulty_rpc import Answer, Change, Drop, Item, Refuse
from tests.support.hanging import hanging
from tests.support.instance import Running, start_instance
from tests.support.odd_node import COUNT, EVERY, LATEST, OddNode, Row
from tests.support.outside import born_wallet, external_chain, imported_wallet, used_elsewhere
from tests.support.published import assert_declared
from tests.support.world import ETHER, Agent, Chain, Wallet, World, address, until

PATH = "/v1/admin/restore"
# a node that prunes: it has the newest state alone
PRUNED = Refuse(-32000, "missing trie node")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with external_chain(8453) as url:
        yield url


@pytest.fixture(scope="module")
async def odd_nodes(url: str) -> AsyncIterator[list[OddNode]]:
    async with OddNode(url) as one, OddNode(url) as other:
        yield [one, other]


@pytest.fixture(scope="module")
async def running(odd_nodes: list[OddNode], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    started = await start_instance(
        tmp_path_factory.mktemp("list"), {"TALON_RPC_8453": ",".join(node.url for node in odd_nodes)}
    )
    yield started
    await started.stop()


@pytest.fixture(scope="module")
async def database(running: Running) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def base(url: str) -> AsyncIterator[Chain]:
    chain = Chain(url)
    yield chain
    await chain.close()


async def pay(agent: Agent, wallet: Wallet, value: str, to: str | None = None) -> Any:
    return await agent.submit(wallet, to or address(), value, chain="base", gas_limit=21_000)


async def paid(agent: Agent, wallet: Wallet, value: str) -> Any:
    sent = await pay(agent, wallet, value)
    assert sent.status_code == 201, sent.text
    return await agent.mined(sent.json()["id"])


async def lost(base: Chain, wallet: Wallet, value_wei: int, to: str, data: str = "0x") -> str:
    """A payment that this copy does not know: signed with the wallet's own key, mined; its hash."""
    nonce = await base.nonce(wallet.address)
    tx_hash = await sent_raw(base, wallet, nonce, value_wei, to, data)
    await base.wait_nonce(wallet.address, nonce + 1)
    return tx_hash


async def sent_raw(base: Chain, wallet: Wallet, nonce: int, value_wei: int, to: str, data: str = "0x") -> str:
    assert wallet.private_key is not None
    fields = {"to": to, "value": value_wei, "gas": 60_000, "nonce": nonce, "chainId": 8453, "data": data}
    fields |= {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 1} if nonce % 2 else {"gasPrice": 10**11}
    signed = Account.sign_transaction(fields, wallet.private_key)
    await base.rpc("eth_sendRawTransaction", f"0x{signed.raw_transaction.hex().removeprefix('0x')}")
    return f"0x{signed.hash.hex().removeprefix('0x')}"


async def freeze(database: psycopg.AsyncConnection) -> None:
    await database.execute("INSERT INTO restores (found_by, why) VALUES ('epoch', 'it is an older copy.')")


async def opened(human: World) -> None:
    await human.post(f"{PATH}/open", {}, status=200)


async def counted_and_opened(human: World) -> None:
    await human.post(f"{PATH}/count", {}, status=200)
    await opened(human)


async def listed(human: World) -> Any:
    async def look() -> Any:
        shown = await human.http.get(PATH, headers=human.headers)
        assert shown.status_code == 200, shown.text
        return shown.json() if "listed_at" in shown.json() else None

    return await until(look, what="the list")


def of(shown: Any, wallet: Wallet) -> list[dict[str, Any]]:
    return [each for each in shown["transactions"] if each["wallet"] == wallet.address]


async def test_what_the_chain_shows_is_listed_counted_and_not_paid_twice(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, other = await human.agent(tx_daily_limit_eth="2"), await human.agent(tx_daily_limit_eth="2")
    wallet = await imported_wallet(human, base)
    known = await paid(agent, wallet, "0.5")
    to = address()
    first = await lost(base, wallet, ETHER, to)
    second = await lost(base, wallet, 4 * 10**17, address(), "0xa9059cbb" + "00" * 64)
    await freeze(database)
    shown = await listed(human)
    assert shown["frozen"] is True
    assert [each["asked_at"] != "" for each in shown["chains"] if each["chain"] == "base"] == [True]
    one, two = of(shown, wallet)
    assert (one["tx_hash"], one["nonce"], one["to"], one["value_wei"], one["value"]) == (
        first,
        1,
        to,
        str(ETHER),
        "1",
    )
    assert (two["tx_hash"], two["data_selector"], two["data_length"]) == (second, "0xa9059cbb", 68)
    assert known["tx_hash"] not in str(shown)
    # both may use every key of the vault, so it counts for both
    assert {agent.id, other.id} <= set(one["agents"])

    for who, right in ((human.headers, 200), (agent.headers, 403)):
        assert (await human.http.get(PATH, headers=who)).status_code == right
    refused = await human.http.post(f"{PATH}/open", headers=human.headers)
    assert (refused.status_code, "not counted" in refused.text) == (409, True), refused.text
    counted = await human.post(f"{PATH}/count", {}, status=200)
    again = await human.post(f"{PATH}/count", {}, status=200)
    assert counted["counted"] > 0
    assert again["counted"] == 0
    assert (await pay(agent, wallet, "0.01")).status_code == 503
    await opened(human)

    # 1.4 of 2 are spent by whoever it was, 0.5 more by the first one
    for who, too_much, fits in ((other, "0.61", "0.1"), (agent, "0.11", "0.1")):
        assert (await pay(who, wallet, too_much)).status_code == 403
        sent = await pay(who, wallet, fits)
        assert sent.status_code == 201, sent.text
    # once more to the same: only on a human's word, once, for that agent
    rich = await human.agent()
    refused = await pay(rich, wallet, "1", to)
    body = assert_declared(refused)
    assert (refused.status_code, body["type"], body["tx_hash"]) == (409, "restored_transaction", first)
    assert (await rich.sign(wallet, to, "1", chain="base", gas_limit=21_000)).status_code == 409
    for each in (1, 2):
        word = {"agent_id": rich.id, "tx_hash": first}
        answer = await human.http.post(f"{PATH}/meant", json=word, headers=human.headers)
        assert answer.status_code == 204, (each, answer.text)
    other_rich = await human.agent()
    assert (await pay(other_rich, wallet, "1", to)).status_code == 409
    assert (await pay(rich, wallet, "1", to)).status_code == 201
    assert (await pay(rich, wallet, "1", to)).status_code == 409
    # a day later nothing of it holds
    await database.execute("UPDATE restores SET opened_at = opened_at - interval '24 hours 1 second'")
    assert (await pay(rich, wallet, "1", to)).status_code == 201
    await database.execute("UPDATE restored_spend SET counted_from = counted_from - interval '24 hours 1 second'")
    assert (await pay(other, wallet, "1.8")).status_code == 201


async def test_a_node_that_prunes_shows_it_by_its_blocks(
    human: World, base: Chain, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await imported_wallet(human, base)
    await paid(agent, wallet, "0.5")
    found = await lost(base, wallet, ETHER, address())
    for node in nodes:
        node.faults[COUNT] = old_state()
    await freeze(database)
    (one,) = of(await listed(human), wallet)
    assert one["tx_hash"] == found
    await counted_and_opened(human)
    assert (await pay(agent, wallet, "0.6")).status_code == 403


async def test_what_no_node_shows_fills_the_window_until_a_human_enters_an_amount(
    human: World, base: Chain, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    agent, unlimited = await human.agent(tx_daily_limit_eth="2"), await human.agent()
    wallet, elsewhere = await imported_wallet(human, base), await born_wallet(human, base)
    await paid(agent, wallet, "0.5")
    for _ in range(3):
        await lost(base, wallet, 4 * 10**17, address())
    for node in nodes:
        node.faults[COUNT] = old_state()
        node.faults[LATEST] = whole_blocks()
    await freeze(database)
    (range_,) = of(await listed(human), wallet)
    assert (range_["nonce"], range_["last_nonce"], "tx_hash" in range_, "value_wei" in range_) == (1, 3, False, False)
    for node in nodes:
        node.be_sound()
    await counted_and_opened(human)
    for which in (wallet, elsewhere):
        refused = await pay(agent, which, "0")
        assert (refused.status_code, "not known" in refused.json()["detail"]) == (403, True), refused.text
    assert (await pay(unlimited, wallet, "0.1")).status_code == 201
    amount = {"chain": "base", "wallet": wallet.address, "nonce": 1, "value_wei": str(12 * 10**17)}
    for wrong in ({"nonce": 2}, {"wallet": elsewhere.address}, {"chain": "nowhere"}):
        await human.post(f"{PATH}/count", {"transactions": [amount | wrong]}, status=404)
    for bad in ({"value_wei": "-1"}, {"value_wei": 5}, {"nonce": -1}, {"wallet": "0x12"}):
        await human.post(f"{PATH}/count", {"transactions": [amount | bad]}, status=400)
    # frozen and opened once more, what was missing still is, and can still be entered
    await freeze(database)
    assert of(await listed(human), wallet) == [range_]
    await counted_and_opened(human)
    assert (await pay(agent, wallet, "0")).status_code == 403
    entered = await human.post(f"{PATH}/count", {"transactions": [amount]}, status=200)
    assert entered["counted"] > 0
    assert (await human.post(f"{PATH}/count", {"transactions": [amount]}, status=200))["counted"] == 0
    assert (await pay(agent, wallet, "0.31")).status_code == 403
    assert (await pay(agent, wallet, "0.3")).status_code == 201


async def test_a_wallet_that_this_copy_never_used_is_looked_at_too(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await imported_wallet(human, base)
    found = await lost(base, wallet, 19 * 10**17, address())
    await freeze(database)
    (one,) = of(await listed(human), wallet)
    assert one["tx_hash"] == found
    await counted_and_opened(human)
    assert (await pay(agent, wallet, "0.2")).status_code == 403
    sent = await pay(agent, wallet, "0.1")
    assert sent.status_code == 201, sent.text


async def test_a_payment_in_a_pool_is_not_taken_for_what_this_copy_only_signed_with_its_nonce(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await imported_wallet(human, base)
    await paid(agent, wallet, "0.1")
    # handed out and never sent: the lost part gave its nonce to a payment
    signed = await agent.sign(wallet, address(), "0.2", chain="base", gas_limit=21_000)
    assert signed.json()["nonce"] == 1
    own = await imported_wallet(human, base)
    await paid(agent, own, "0.1")
    await base.rpc("evm_setIntervalMining", 0)
    try:
        # of no value, so that the other tests' lists of it count nothing; nobody knows that of one in a pool
        await sent_raw(base, wallet, 1, 0, address())
        assert (await pay(agent, own, "0.1")).status_code == 201
        await freeze(database)
        shown = await listed(human)
    finally:
        await base.rpc("evm_setIntervalMining", 1)
    (range_,) = of(shown, wallet)
    assert (range_["nonce"], range_["last_nonce"], "value_wei" in range_) == (1, 1, False)
    assert of(shown, own) == []
    await base.wait_nonce(wallet.address, 2)
    await counted_and_opened(human)
    assert (await pay(agent, own, "0")).status_code == 403
    amount = {"chain": "base", "wallet": wallet.address, "nonce": 1, "value_wei": "0"}
    await human.post(f"{PATH}/count", {"transactions": [amount]}, status=200)
    assert (await paid(agent, own, "0.5"))["nonce"] == 2


async def test_nobody_accounts_for_a_wallet_before_it_is_listed(
    human: World, base: Chain, running: Running, database: psycopg.AsyncConnection
) -> None:
    """An owner who presses every button that there is, while the list is not made yet."""
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await imported_wallet(human, base)
    sent = await paid(agent, wallet, "0.5")
    await database.execute("UPDATE transactions SET status = 'final', final_at = now() WHERE id = %s", (sent["id"],))
    (worker,) = running.pids("worker")
    with hanging(worker):
        found = await lost(base, wallet, ETHER, address())
        await freeze(database)
        for button, body in (("resync", {}), ("open", {"mined": 2})):
            path = f"/v1/wallets/base/{wallet.address}/{button}"
            refused = await human.http.post(path, json=body, headers=human.headers)
            assert (refused.status_code, assert_declared(refused)["type"]) == (503, "restored_copy"), refused.text
    (one,) = of(await listed(human), wallet)
    assert one["tx_hash"] == found
    await counted_and_opened(human)
    assert (await pay(agent, wallet, "0.6")).status_code == 403
    assert (await paid(agent, wallet, "0.5"))["nonce"] == 2


async def test_what_comes_after_the_list_freezes_anew(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    """A payment of the lost part that nobody had in a pool yet, of a wallet of which nothing was missing."""
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await born_wallet(human, base)
    sent = await paid(agent, wallet, "0.5")
    await database.execute("UPDATE transactions SET status = 'final', final_at = now() WHERE id = %s", (sent["id"],))
    await freeze(database)
    assert of(await listed(human), wallet) == []
    await used_elsewhere(base, wallet)
    await counted_and_opened(human)
    refused = await pay(agent, wallet, "0.1")
    assert (refused.status_code, refused.json()["type"]) == (503, "restored_copy"), refused.text
    (range_,) = of(await listed(human), wallet)
    assert (range_["nonce"], range_["last_nonce"]) == (1, 1)
    await counted_and_opened(human)
    assert (await pay(agent, wallet, "0")).status_code == 403
    amount = {"chain": "base", "wallet": wallet.address, "nonce": 1, "value_wei": "1"}
    await human.post(f"{PATH}/count", {"transactions": [amount]}, status=200)
    assert (await paid(agent, wallet, "0.1"))["nonce"] == 2


async def test_an_amount_is_entered_for_a_chain_that_was_removed_and_for_every_restore_that_misses_it(
    human: World, base: Chain, database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await born_wallet(human, base)
    fields = {"name": "gone", "chain_id": 424_242, "display_name": "Gone"}
    made = await human.post("/v1/admin/chains", fields)
    await database.execute(
        "INSERT INTO wallets (chain_id, address, next_nonce) VALUES (424242, %s, 7)",
        (bytes.fromhex(wallet.address[2:]),),
    )
    removed = await human.http.delete(f"/v1/admin/chains/{made['id']}", headers=human.headers)
    assert removed.status_code == 204, removed.text
    for _ in range(2):
        await freeze(database)
        assert [(each["chain"], each["nonce"]) for each in of(await listed(human), wallet)][-1] == ("gone", 7)
        await human.post(f"{PATH}/count", {}, status=200)
        await opened(human)
    amount = {"chain": "gone", "wallet": wallet.address, "nonce": 7, "value_wei": "0"}
    for still in (1, 0):
        assert (await pay(agent, wallet, "0")).status_code == 403
        await human.post(f"{PATH}/count", {"transactions": [amount]}, status=200)
        shown = (await human.http.get(PATH, headers=human.headers)).json()
        assert len([each for each in of(shown, wallet) if "value_wei" not in each]) == still
    assert (await pay(agent, wallet, "1")).status_code == 201
    await database.execute("DELETE FROM wallets WHERE chain_id = 424242")


async def test_a_chain_that_does_not_answer_is_waited_for(
    human: World, base: Chain, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await imported_wallet(human, base)
    await paid(agent, wallet, "0.5")
    found = await lost(base, wallet, ETHER, address())
    for node in nodes:
        node.be(Row({EVERY: Drop(forward=False)}))
    await freeze(database)

    async def waited_for() -> Any:
        shown = (await human.http.get(PATH, headers=human.headers)).json()
        return shown if [each for each in shown["chains"] if "asked_at" not in each] else None

    shown = await until(waited_for, what="the chain that is waited for")
    assert "listed_at" not in shown
    refused = await human.http.post(f"{PATH}/count", json={}, headers=human.headers)
    assert refused.status_code == 409, refused.text
    for node in nodes:
        node.be_sound()
    (one,) = of(await listed(human), wallet)
    assert one["tx_hash"] == found
    await counted_and_opened(human)


async def test_an_endpoint_that_lies_hides_nothing_and_leads_no_tracker_astray(
    human: World, base: Chain, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    """One counts a thousand million transactions, dates blocks as it likes and shows amounts of nothing."""
    agent, wallet = await human.agent(tx_daily_limit_eth="2"), await imported_wallet(human, base)
    await paid(agent, wallet, "0.5")
    found = await lost(base, wallet, ETHER, address())
    nodes[0].faults[COUNT] = Answer(hex(10**9), when=lambda params: params[0].lower() == wallet.address.lower())
    nodes[0].faults[LATEST] = Change(how=worthless)
    await freeze(database)
    shown = of(await listed(human), wallet)
    assert [(each.get("tx_hash"), each.get("value")) for each in shown if "tx_hash" in each] == [(found, "1")]
    assert [(each["nonce"], each["last_nonce"]) for each in shown if "tx_hash" not in each] == [(2, 10**9 - 1)]
    for node in nodes:
        node.be_sound()
    await counted_and_opened(human)
    refused = await pay(agent, wallet, "0.1")
    assert (refused.status_code, "not known" in refused.json()["detail"]) == (403, True), refused.text
    nothing = {"chain": "base", "wallet": wallet.address, "nonce": 2, "value_wei": "0"}
    await human.post(f"{PATH}/count", {"transactions": [nothing]}, status=200)
    assert (await pay(agent, wallet, "0.6")).status_code == 403
    assert (await paid(agent, wallet, "0.5"))["nonce"] == 2


def worthless(item: Item) -> Item:
    result = item.get("result")
    if not isinstance(result, dict) or not any(isinstance(each, dict) for each in result.get("transactions", ())):
        return item
    return item | {"result": result | {"transactions": [each | {"value": "0x0"} for each in result["transactions"]]}}


def old_state() -> Refuse:
    return Refuse(PRUNED.code, PRUNED.message, when=lambda params: str(params[1]).startswith("0x"))


def whole_blocks() -> Refuse:
    return Refuse(-32000, "block too large", when=lambda params: params[1] is True)
