"""A chain that answers wrongly, late or not at all: nothing is sent twice, nothing is called failed without proof."""

import asyncio

import pytest

from tests.flows.test_nonces import assert_mined_once
from tests.support.faulty_rpc import Drop, Refuse, Status, no_simulation, wrong_chain
from tests.support.instance import start_instance
from tests.support.odd_node import OddNode
from tests.support.world import World, address, until

SEND = "eth_sendRawTransaction"
LOST_ANSWERS = [
    pytest.param(Drop(times=3), id="accepted, then the connection breaks"),
    pytest.param(Drop(times=3, forward=False), id="never arrives"),
    pytest.param(Status(status=502, times=3, forward=True), id="accepted, then 502"),
    pytest.param(Refuse(-32603, "internal error", times=3), id="a vague refusal"),
]


@pytest.mark.parametrize("fault", LOST_ANSWERS)
async def test_an_unknown_outcome_is_201_signed_and_mined_once(human: World, node: OddNode, fault: object) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    to = address()
    node.faults[SEND] = fault  # type: ignore[assignment]  # one of the faults above

    answer = await agent.submit(wallet, to, "0.1", gas_limit=21_000)

    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "signed"
    assert "error_message" in answer.json()
    mined = await agent.mined(answer.json()["id"])
    assert mined["receipt"]["status"] == "success"
    assert "error_message" not in mined
    await assert_mined_once(human, wallet.address, [answer.json()["tx_hash"]])
    assert await human.chain.balance(to) == 10**17


async def test_an_unreachable_chain_is_503_and_nothing_is_done(human: World, node: OddNode) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    node.mode = Drop(forward=False)
    for path in ("", "/sign", "/simulate"):
        answer = await agent.post(
            path, {"to": address(), "value": "0.1", "chain": "anvil", "signing_key_path": wallet.path}
        )
        assert answer.status_code == 503, (path, answer.text)
        assert int(answer.headers["Retry-After"]) > 0
    node.mode = None
    listed = await human.http.get(agent.url, headers=agent.headers)
    assert listed.json() == {"transactions": []}
    sent = await agent.submit(wallet, address(), "0.1")
    assert (await agent.get(sent.json()["id"]))["nonce"] == 0


async def test_nothing_is_sent_to_a_node_of_another_chain(
    human: World, node: OddNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node.faults.update(wrong_chain(1))
    running = await start_instance(tmp_path_factory.mktemp("wrong"), {"TALON_RPC_31337": node.url})
    try:
        world = await World.of(running)
        wallet, agent = await world.wallet(), await world.agent()
        before = node.count(SEND)
        for _ in range(3):
            answer = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
            assert answer.status_code == 503, answer.text
            assert "ndpoint 1 serves chain 1 instead of 31337" in answer.json()["detail"]
            assert node.url not in answer.text
        assert node.count(SEND) == before
        logs = [path.read_text() for path in (running.home / "logs").glob("api*")]
        told = [line for log in logs for line in log.splitlines() if "serves chain 1" in line]
        assert len(told) == 1, told
        await world.close()
    finally:
        await running.stop()


async def test_a_node_without_simulation_gives_a_plainer_answer(human: World, node: OddNode) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    node.faults.update(no_simulation())
    simulated = await agent.simulate(wallet, address(), "0.1")
    assert simulated.status_code == 200, simulated.text
    assert simulated.json()["status"] == "success"
    assert simulated.json()["balance_changes"] == []
    sent = await agent.submit(wallet, address(), "0.1")
    assert sent.status_code == 201, sent.text
    too_much = await agent.submit(wallet, address(), "1000000")
    assert too_much.status_code == 422


async def test_what_the_node_lost_is_sent_again(human: World) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    await human.chain.rpc("evm_setIntervalMining", 3600)
    try:
        sent = [await agent.submit(wallet, address(), "0.1", gas_limit=21_000) for _ in range(3)]
        assert {each.json()["status"] for each in sent} == {"broadcast"}
        await human.chain.rpc("anvil_dropAllTransactions")
        pending = await human.chain.rpc("txpool_status")
        assert int(pending["pending"], 16) == 0
    finally:
        await human.chain.rpc("evm_setIntervalMining", 1)
    await assert_mined_once(human, wallet.address, [each.json()["tx_hash"] for each in sent])


async def test_a_reorganisation_takes_the_block_away_and_the_transaction_is_mined_again(human: World) -> None:
    wallet = await human.wallet()
    agent = await human.agent(tx_daily_limit_eth="1")
    await human.chain.rpc("evm_setIntervalMining", 3600)
    try:
        sent = await agent.submit(wallet, address(), "0.4", gas_limit=21_000)
        await human.chain.rpc("anvil_mine", hex(1))
        first = await agent.mined(sent.json()["id"])
        await human.chain.rpc("anvil_reorg", 1, [])

        async def taken_back() -> bool:
            return "receipt" not in await agent.get(sent.json()["id"])

        await until(taken_back, 30, "the receipt to be taken back")
        assert (await agent.get(sent.json()["id"]))["status"] == "broadcast"
    finally:
        await human.chain.rpc("evm_setIntervalMining", 1)
    again = await agent.mined(sent.json()["id"])
    assert again["receipt"]["block_hash"] != first["receipt"]["block_hash"]
    await assert_mined_once(human, wallet.address, [sent.json()["tx_hash"]])
    # it counted once all the while
    assert (await agent.submit(wallet, address(), "0.7")).status_code == 403
    assert (await agent.submit(wallet, address(), "0.6")).status_code == 201


async def test_the_chains_word_is_asked_again_after_an_outage(human: World, node: OddNode) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    node.mode = Status()
    await asyncio.sleep(3)
    assert (await agent.get(sent.json()["id"]))["status"] == "broadcast"
    node.mode = None
    await agent.mined(sent.json()["id"])
