"""Endpoints that know of finality and that do not, one after the other: what is final goes by who answers."""

from pathlib import Path

from chains.defaults import ANVIL
from tests.support.faulty_rpc import Drop, Fault, Refuse
from tests.support.instance import start_instance
from tests.support.odd_node import LATEST, OddNode, when_block, with_fields
from tests.support.world import Agent, Wallet, World, address, until

# what a node says before its first final block, and one that never knew of any
STARTING: list[Fault] = [
    Refuse(-39001, "Unknown block"),
    Refuse(-32000, "finalized block not found"),
    with_fields(number="0x0"),
]
WITHOUT = Refuse(-32000, "unsupported block tag: finalized")


async def submit(agent: Agent, wallet: Wallet) -> str:
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text
    return str(sent.json()["id"])


async def becomes_final(agent: Agent, sent: str) -> None:
    async def ask() -> bool:
        return bool((await agent.mined(sent))["receipt"]["final"])

    await until(ask, 60, "finality")


async def stays_unknown(world: World, agent: Agent, sent: str, node: OddNode) -> None:
    """It is asked for the final block thrice after the transaction has its confirmations, and none comes of that."""
    mined = int((await agent.mined(sent))["receipt"]["block_number"])
    await until(lambda: world.chain.beyond(mined + ANVIL.confirmations), 60, "confirmations")
    asked = node.count(LATEST)

    async def ask() -> bool:
        assert (await agent.mined(sent))["receipt"]["final"] is False
        return node.count(LATEST) >= asked + 3

    await until(ask, 60, "passes")


async def test_after_a_fail_over_the_next_endpoints_finality_counts(tmp_path: Path) -> None:
    async with OddNode() as first, OddNode() as second:
        running = await start_instance(tmp_path / "home", {"TALON_RPC_31337": f"{first.url},{second.url}"})
        try:
            first.upstream = second.upstream = running.rpc_url
            # from the beginning: it is asked now and then while the first one answers
            second.faults[LATEST] = when_block("finalized", STARTING[0])
            world = await World.of(running)
            try:
                agent, wallet = await world.agent(), await world.wallet()
                await becomes_final(agent, await submit(agent, wallet))
                first.mode = Drop(forward=False)
                for fault in STARTING:
                    # the first one named final blocks: the second one's confirmations do not stand in for them
                    second.faults[LATEST] = when_block("finalized", fault)
                    await stays_unknown(world, agent, sent := await submit(agent, wallet), second)
                second.faults[LATEST] = when_block("finalized", WITHOUT)
                # by confirmations, or nothing would be final while the first one is away
                await becomes_final(agent, sent)
            finally:
                await world.close()
        finally:
            await running.stop()
