"""Endpoints that know of finality and that do not, one after the other: what is final goes by who answers."""

from pathlib import Path

from tests.support.faulty_rpc import Drop, Refuse
from tests.support.instance import start_instance
from tests.support.odd_node import LATEST, OddNode, when_block
from tests.support.world import Agent, Wallet, World, address, until


async def becomes_final(agent: Agent, wallet: Wallet) -> None:
    sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert sent.status_code == 201, sent.text

    async def ask() -> bool:
        return bool((await agent.mined(sent.json()["id"]))["receipt"]["final"])

    await until(ask, 60, "finality")


async def test_after_a_fail_over_the_next_endpoints_finality_counts(tmp_path: Path) -> None:
    async with OddNode() as first, OddNode() as second:
        running = await start_instance(tmp_path / "home", {"TALON_RPC_31337": f"{first.url},{second.url}"})
        try:
            first.upstream = second.upstream = running.rpc_url
            second.faults[LATEST] = when_block("finalized", Refuse(-32000, "finalized block not found"))
            world = await World.enter(running.base_url, running.rpc_url, running.admin_email, running.admin_password)
            try:
                agent, wallet = await world.agent(), await world.wallet()
                await becomes_final(agent, wallet)
                first.mode = Drop(forward=False)
                # by the second one's confirmations: it never named a final block
                await becomes_final(agent, wallet)
            finally:
                await world.close()
        finally:
            await running.stop()
