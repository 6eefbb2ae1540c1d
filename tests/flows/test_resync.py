"""A wallet whose tracker a node led far above the chain: people see it, take it back, and nothing is paid twice."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.flows.foreign import send_elsewhere
from tests.flows.resynchronise import look, path_of, resync, submit_at, submit_until_mined
from tests.flows.test_believable_counts import ABSURD, gone, says
from tests.flows.test_lying_nodes import assert_ledger
from tests.support.faulty_rpc import Drop
from tests.support.hanging import hanging
from tests.support.instance import Running
from tests.support.odd_node import COUNT, LATEST, SEND, OddNode, when_block
from tests.support.people import bearer, join, sign_up
from tests.support.world import ETHER, Wallet, World, address, until

NODES = 2


@pytest.fixture(scope="module")
async def database(running: Running) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
async def stranger(running: Running, human: World, database: psycopg.AsyncConnection) -> AsyncIterator[World]:
    """The owner of another organisation."""
    person = await sign_up(human, database)
    world = await World.enter(running.base_url, running.rpc_url, person.email, person.password)
    yield world
    await world.close()


async def test_the_wallet_goes_back_and_on(human: World, nodes: list[OddNode]) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="2")
    lost = await submit_at(nodes, agent, wallet, ABSURD)
    shown = await look(human, wallet)
    assert (shown["next_nonce"], shown["mined"], shown["pending"]) == (ABSURD + 1, 0, 0)
    assert (shown["gap"], shown["signed_above"], shown["open_count"]) == (ABSURD, 1, 1)
    assert shown["endpoints"] == [{"mined": 0, "pending": 0}] * 2
    (open_,) = shown["open"]
    assert open_ == {
        "nonce": ABSURD,
        "status": open_["status"],
        "given_up": False,
        "transaction_id": lost["id"],
        "agent_id": agent.id,
    }
    assert (await agent.submit(wallet, address(), "1", gas_limit=21_000)).status_code == 503

    done = await resync(human, wallet)
    assert (done["was_next_nonce"], done["next_nonce"], done["gap"]) == (ABSURD + 1, 0, 0)
    assert (done["given_up"], done["freed"], done["freed_wei"]) == (1, 0, "0")
    sent = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 0
    # what was signed above still counts, and is still to be seen
    refused = await agent.submit(wallet, address(), "0.5", gas_limit=21_000)
    assert refused.status_code == 403, refused.text
    kept = await agent.get(lost["id"])
    assert (kept["nonce"], kept["tx_hash"]) == (ABSURD, lost["tx_hash"])
    assert "resynchronised" in kept["error_message"]
    # until the human says that it does not
    freed = await resync(human, wallet, free_signed_above=True)
    assert (freed["given_up"], freed["freed"], freed["freed_wei"]) == (0, 1, str(ETHER))
    sent = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 1
    assert (await agent.submit(wallet, address(), "0.5", gas_limit=21_000)).status_code == 403


async def test_only_a_human_of_the_organisation_may(
    human: World, stranger: World, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    unknown = Wallet("", address())
    member, admin = await sign_up(human, database), await sign_up(human, database)
    await join(database, member, human)
    await join(database, admin, human, "admin")
    _, narrowed = await admin.api_key(scopes=["keys/**"])
    asked = [
        (stranger.token, wallet, 404),
        (human.token, unknown, 404),
        (stranger.token, unknown, 404),
        (agent.key, wallet, 403),
        (await member.log_in(), wallet, 403),
        (narrowed, wallet, 403),
        ("", wallet, 401),
        (await admin.log_in(), wallet, 200),
        (human.token, wallet, 200),
    ]
    answers: dict[int, set[str]] = {}
    for credential, which, right in asked:
        for method, path in (("GET", path_of(which)), ("POST", f"{path_of(which)}/resync")):
            headers = bearer(credential) if credential else {}
            answer = await human.http.request(method, path, headers=headers)
            assert answer.status_code == right, (method, right, answer.text)
            answers.setdefault(right, set()).add(answer.text)
    # held by others or by nobody: the same words
    assert len(answers[404]) == 1
    bad = {f"/v1/wallets/anvil/{wallet.address[:-1]}": 400, f"/v1/wallets/nowhere/{wallet.address}": 404}
    for path, right in bad.items():
        assert (await human.http.get(path, headers=human.headers)).status_code == right
    odd = await human.http.post(f"{path_of(wallet)}/resync", json={"free": True}, headers=human.headers)
    assert odd.status_code == 400
    events = (await human.http.get("/v1/audit/events?action=wallet.resync", headers=human.headers)).json()["events"]
    assert [event for event in events if wallet.address in event["resource_id"]]


async def test_each_organisations_word_is_for_its_own_agents(
    human: World, stranger: World, nodes: list[OddNode]
) -> None:
    wallet = await human.wallet()
    assert wallet.private_key is not None
    same = await stranger.put_key(wallet.private_key)
    ours, theirs = await human.agent(tx_daily_limit_eth="1"), await stranger.agent(tx_daily_limit_eth="1")
    await submit_at(nodes, ours, wallet, ABSURD)
    lost = await submit_at(nodes, theirs, same, ABSURD + 1)
    hoarded = await stranger.agent(tx_daily_limit_eth="1")
    for node in nodes:
        says(node, pending=ABSURD)
    signed = await hoarded.sign(same, address(), "1", gas_limit=21_000)
    assert signed.json()["nonce"] == ABSURD + 2
    for node in nodes:
        node.be_sound()

    done = await resync(human, wallet, free_signed_above=True)
    assert (done["given_up"], done["freed"], done["freed_wei"]) == (2, 1, str(ETHER))
    # the other's transaction is to be seen by its nonce alone
    assert {"transaction_id", "agent_id"} & set(done["open"][1]) == set()
    for agent in (theirs, hoarded):
        refused = await agent.submit(same, address(), "1", gas_limit=21_000)
        assert refused.status_code == 403, refused.text
    sent = await ours.submit(wallet, address(), "1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text

    done = await resync(stranger, same, free_signed_above=True)
    assert (done["freed"], done["freed_wei"]) == (2, str(2 * ETHER))
    for agent in (theirs, hoarded):
        sent = await agent.submit(same, address(), "1", gas_limit=21_000)
        assert sent.status_code == 201, sent.text
    events = (await stranger.http.get("/v1/audit/events?action=wallet.resync", headers=stranger.headers)).json()
    assert {event["actor_type"] for event in events["events"]} == {"user", "system"}
    await human.chain.wait_nonce(wallet.address, 3)
    assert (await theirs.get(lost["id"]))["status"] != "failed"


async def test_a_filler_takes_the_old_nonce_before_the_tracker_comes_by(human: World, nodes: list[OddNode]) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    lost = await submit_at(nodes, agent, wallet, 36)
    freed = await resync(human, wallet, free_signed_above=True)
    # not far enough above to be freed
    assert (freed["next_nonce"], freed["freed"]) == (0, 0)
    hashes = await submit_until_mined(human, agent, wallet, 39)
    await human.chain.wait_nonce(wallet.address, 40)
    mined = {int(each["nonce"], 16): each for each in await human.chain.transactions_from(wallet.address)}
    assert sorted(mined) == list(range(40))
    assert [mined[nonce]["hash"] for nonce in range(40) if nonce != 36] == hashes
    assert mined[36]["to"].lower() == wallet.address.lower()
    assert await human.chain.balance(lost["to"]) == 0

    async def failed() -> bool:
        return (await agent.get(lost["id"]))["status"] == "failed"

    await until(failed, 60, "the failure")
    # proven now, so its value is free
    assert (await agent.submit(wallet, address(), "1", gas_limit=21_000)).status_code == 201


async def test_what_is_waited_for_behind_a_pool_is_said(human: World, nodes: list[OddNode]) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await submit_at(nodes, agent, wallet, 110)
    await resync(human, wallet)
    for node in nodes:
        says(node, pending=100)
    refused = await agent.submit(wallet, address(), "0", gas_limit=21_000)
    assert (refused.status_code, "mined or dropped" in refused.json()["detail"]) == (503, True), refused.text


async def test_old_bytes_close_above_are_outbid_at_once(human: World, nodes: list[OddNode]) -> None:
    """The old bytes lie in the node's pool and wait for the nonces before them."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    lost = await submit_at(nodes, agent, wallet, 3)
    assert lost["status"] == "broadcast"
    done = await resync(human, wallet)
    assert (done["next_nonce"], done["given_up"]) == (0, 1)
    await submit_until_mined(human, agent, wallet, 4)
    await human.chain.wait_nonce(wallet.address, 5)
    assert await human.chain.balance(lost["to"]) == 0


async def test_freed_spend_counts_again_before_its_bytes_can_be_mined(human: World, nodes: list[OddNode]) -> None:
    wallet = await human.wallet()
    agent, hoarder = await human.agent(tx_daily_limit_eth="1"), await human.agent(tx_daily_limit_eth="1")
    lost = await submit_at(nodes, agent, wallet, 12_000)
    for node in nodes:
        says(node, pending=12_000)
    signed = (await hoarder.sign(wallet, address(), "1", gas_limit=21_000)).json()
    assert signed["nonce"] == 12_001
    for node in nodes:
        node.be_sound()
    freed = await resync(human, wallet, free_signed_above=True)
    assert freed["freed_wei"] == str(2 * ETHER)
    sent = await agent.submit(wallet, address(), "0.4", gas_limit=21_000)
    await agent.mined(sent.json()["id"])

    # 11,989 transactions later
    walker = await human.agent()
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(11_990))
    await submit_until_mined(human, walker, wallet, 1)
    for each in (agent, hoarder):
        refused = await each.submit(wallet, address(), "0.5", gas_limit=21_000)
        assert refused.status_code == 403, refused.text
    await submit_until_mined(human, walker, wallet, 14)
    await human.chain.wait_nonce(wallet.address, 12_006)
    mined = {int(each["nonce"], 16): each for each in await human.chain.transactions_from(wallet.address)}
    assert mined[12_000]["to"].lower() == wallet.address.lower()
    assert mined[12_001]["hash"] != signed["tx_hash"]
    assert await human.chain.balance(lost["to"]) == 0

    async def free() -> bool:
        return (await hoarder.submit(wallet, address(), "1", gas_limit=21_000)).status_code == 201

    await until(free, 60, "the proof that the hoarded bytes cannot be mined")
    assert (await agent.submit(wallet, address(), "0.5", gas_limit=21_000)).status_code == 201


async def test_freed_bytes_that_are_mined_all_the_same_count(human: World, nodes: list[OddNode]) -> None:
    """The chain jumps past everything we gave out, and the old bytes are in it."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    for node in nodes:
        says(node, pending=12_000)
        # it reaches no pool: anvil's would keep it in a queue that anvil_setNonce does not move
        node.faults["eth_sendRawTransaction"] = Drop(forward=False)
    lost = (await agent.submit(wallet, to := address(), "1", gas_limit=21_000)).json()
    for node in nodes:
        del node.faults[COUNT]
    assert (await resync(human, wallet, free_signed_above=True))["freed"] == 1
    raw = (await human.http.get(f"{agent.url}/{lost['id']}?include_signed_tx=true", headers=agent.headers)).json()[
        "signed_tx"
    ]
    # the key was used 12,000 times elsewhere, and somebody sends the bytes before a filler can be
    for node in nodes:
        gone(node)
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(12_000))
    await human.chain.rpc("eth_sendRawTransaction", raw)
    await human.chain.wait_nonce(wallet.address, 12_001)
    for node in nodes:
        node.be_sound()

    async def counted() -> bool:
        return (await agent.submit(wallet, address(), "0.5", gas_limit=21_000)).status_code == 403

    await until(counted, 60, "the spend to count again")
    assert await human.chain.balance(to) == ETHER


async def test_a_signer_that_hangs_hides_no_resync(
    human: World, running: Running, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    """It is done and says so; the filler comes later."""
    wallet, agent = await human.wallet(), await human.agent()
    lost = await submit_at(nodes, agent, wallet, 10)
    (pid,) = running.pids("signer")
    with hanging(pid):
        done = await resync(human, wallet)
    assert (done["next_nonce"], done["given_up"]) == (0, 1)

    async def filled() -> bool:
        rows = await database.execute(
            "SELECT 1 FROM attempts WHERE transaction_id = %s AND kind = 'filler'", (lost["id"],)
        )
        return await rows.fetchone() is not None

    await until(filled, 60, "the filler")


@pytest.mark.parametrize("given_up", ["before", "after"])
async def test_freed_spend_counts_again_whoever_gives_its_transaction_up(
    human: World, nodes: list[OddNode], given_up: str
) -> None:
    """With a filler of its agent's beside them the old bytes may be mined as well as without one."""
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    for node in nodes:
        says(node, pending=12_000)
        node.faults[SEND] = Drop(forward=False)
    lost = (await agent.submit(wallet, address(), "1", gas_limit=21_000)).json()
    if given_up == "before":
        assert (await agent.give_up(lost["id"])).status_code == 200
    for node in nodes:
        del node.faults[COUNT]
    assert (await resync(human, wallet, free_signed_above=True))["freed"] == 1
    if given_up == "after":
        for node in nodes:
            # the agent is faster than the worker, which asks for this
            node.faults[LATEST] = when_block("finalized", Drop(forward=False))
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(11_990))
    if given_up == "after":
        assert (await agent.give_up(lost["id"])).status_code == 200

    async def counted() -> bool:
        answer = await agent.submit(wallet, address(), "0.5", gas_limit=21_000)
        assert answer.status_code in (403, 503), answer.text
        return answer.status_code == 403

    await until(counted, 60, "the spend to count again")


async def test_a_used_key_of_which_endpoints_disagree_needs_a_humans_word_once(
    human: World, nodes: list[OddNode]
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    # no transaction shows who used these nonces, and only one endpoint is believable at all
    await human.chain.rpc("anvil_setNonce", wallet.address, hex(500))
    says(nodes[1], count=ABSURD)
    refused = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    assert refused.status_code == 503, refused.text
    done = await resync(human, wallet)
    assert done["next_nonce"] == 500
    sent = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 500


@pytest.mark.parametrize("low", [0, 1])
async def test_one_endpoint_that_lags_gives_up_nothing_that_another_would_mine(
    human: World, stranger: World, nodes: list[OddNode], low: int
) -> None:
    """Three from elsewhere, and two of ours in flight, one of another organisation."""
    wallet = await human.wallet()
    assert wallet.private_key is not None
    same = await stranger.put_key(wallet.private_key)
    ours, theirs = await human.agent(), await stranger.agent()
    await send_elsewhere(human.chain, wallet, 3)
    for node in nodes:
        # in no pool, so that they wait
        node.faults["eth_sendRawTransaction"] = Drop(forward=False)
    sent = [await ours.submit(wallet, address(), "0.1", gas_limit=21_000)]
    sent.append(await theirs.submit(same, address(), "0.1", gas_limit=21_000))
    says(nodes[low], count=0)
    done = await resync(human, wallet)
    assert done["given_up"] == 0
    for node in nodes:
        node.be_sound()
    for agent, each in zip((ours, theirs), sent, strict=True):
        shown = await agent.mined(each.json()["id"])
        assert shown["tx_hash"] == each.json()["tx_hash"]
    mined = {int(each["nonce"], 16): each["hash"] for each in await human.chain.transactions_from(wallet.address)}
    assert [mined[3], mined[4]] == [each.json()["tx_hash"] for each in sent]
    again = await ours.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert (await ours.mined(again.json()["id"]))["nonce"] == 5


async def test_the_lie_told_again_opens_nothing_that_was_freed(
    human: World, nodes: list[OddNode], database: psycopg.AsyncConnection
) -> None:
    wallet, agent = await human.wallet(), await human.agent(tx_daily_limit_eth="1")
    lost = await submit_at(nodes, agent, wallet, ABSURD)
    assert (await resync(human, wallet, free_signed_above=True))["freed"] == 1
    says(nodes[0], count=ABSURD)
    asked = nodes[0].count(COUNT)

    async def looked() -> bool:
        return nodes[0].count(COUNT) > asked + 8

    # the worker goes by that endpoint's count
    await until(looked, 60, "the worker to ask it several times")
    rows = await database.execute(
        "SELECT (SELECT count(*) FROM attempts WHERE transaction_id = %(id)s), s.state"
        " FROM spend_reservations s WHERE transaction_id = %(id)s",
        {"id": lost["id"]},
    )
    assert await rows.fetchone() == (1, "released")
    sent = await agent.submit(wallet, address(), "1", gas_limit=21_000)
    assert (await agent.mined(sent.json()["id"]))["nonce"] == 0


async def test_nothing_is_changed_while_no_endpoint_answers(human: World, nodes: list[OddNode]) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    await submit_at(nodes, agent, wallet, ABSURD)
    for node in nodes:
        gone(node)
    shown = await look(human, wallet)
    assert (shown["next_nonce"], shown["endpoints"]) == (ABSURD + 1, [{}, {}])
    assert "mined" not in shown
    answer = await human.http.post(f"{path_of(wallet)}/resync", headers=human.headers)
    assert answer.status_code == 503, answer.text
    for node in nodes:
        node.be_sound()
    assert (await look(human, wallet))["next_nonce"] == ABSURD + 1


async def test_the_ledger_agrees_with_itself(database: psycopg.AsyncConnection) -> None:
    await assert_ledger(database)
