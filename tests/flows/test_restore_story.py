"""The day that was spent twice: limit 2 ETH, a back-up in between, and an older home put back by hand.

Once where a copy of the epoch outside the home gives it away, once where the chain alone does.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.instance import UNHURRIED, Running
from tests.support.outside import born_wallet, external_chain
from tests.support.world import ETHER, SOAK, Agent, Chain, Wallet, World, address, until

PATH = "/v1/admin/restore"
LIMIT = 2 * ETHER
PASSWORD = "of one and the same human"
# the chain alone in `make test`; whoever finds it first, the story is one
FOUND_BY = [pytest.param("chain"), pytest.param("epoch", marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with external_chain(8453) as url:
        yield url


@asynccontextmanager
async def started(home: Path, environment: dict[str, str]) -> AsyncIterator[tuple[Running, World]]:
    running = Running(home, UNHURRIED | environment, admin_password=PASSWORD)
    running.launch()
    await asyncio.to_thread(running.wait_ready)
    async with World.within(running) as both:
        yield both


def copied(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def outside_of(directory: Path) -> str:
    """A directory that the signer's uid may pass, as it may /var/lib."""
    directory.chmod(0o711)
    return str(directory / "outside")


async def pay(agent: Agent, wallet: Wallet, value: str, to: str, **more: Any) -> Any:
    return await agent.submit(wallet, to, value, chain="base", gas_limit=21_000, **more)


async def paid(agent: Agent, wallet: Wallet, value: str, to: str) -> None:
    sent = await pay(agent, wallet, value, to)
    assert sent.status_code == 201, sent.text
    assert (await agent.mined(sent.json()["id"]))["receipt"]["status"] == "success"


async def spent(chain: Chain, wallet: Wallet) -> int:
    """What the chain itself shows that the wallet paid, in wei: all of it is of this day."""
    return sum(int(each["value"], 16) for each in await chain.transactions_from(wallet.address))


@pytest.mark.parametrize("found_by", FOUND_BY)
async def test_an_older_home_that_was_put_back_spends_no_day_twice(found_by: str, url: str, tmp_path: Path) -> None:
    if found_by == "epoch" and not SOAK:
        pytest.skip("long: make soak plays it once more with a copy of the epoch outside the home")
    outside = outside_of(tmp_path) if found_by == "epoch" else "off"
    environment = {"TALON_RPC_8453": url, "TALON_EPOCH_DIRECTORY": outside}
    home, kept = tmp_path / "home", tmp_path / "kept"
    chain, to, other = Chain(url), address(), address()
    async with started(home, environment) as (_, world):
        wallet, agent = await born_wallet(world, chain), await world.agent(tx_daily_limit_eth="2")
        await paid(agent, wallet, "0.6", address())
    copied(home, kept)

    async with started(home, environment) as (_, world):
        agent.http = world.http
        await paid(agent, wallet, "0.8", to)
        await paid(agent, wallet, "0.5", other)
        assert (await pay(agent, wallet, "0.2", address())).status_code == 403
    shutil.rmtree(home)
    copied(kept, home)

    async with started(home, environment) as (_, world):
        agent.http = world.http
        await played_through(world, chain, agent, wallet, to, found_by)

    if SOAK:
        # opened once and for all: nothing of it comes back at the next start
        async with started(home, environment) as (_, world):
            agent.http = world.http
            assert (await pay(agent, wallet, "0.01", address())).status_code == 403
            assert (await pay(agent, wallet, "0", address())).status_code == 201
    assert await spent(chain, wallet) == LIMIT
    await chain.close()


async def played_through(world: World, chain: Chain, agent: Agent, wallet: Wallet, to: str, found_by: str) -> None:
    """From the first request to the restored copy to the last coin of the day."""
    for more in ({}, {"idempotency_key": "the payment of 0.8"}):
        refused = await pay(agent, wallet, "0.8", to, **more)
        assert (refused.status_code, refused.json()["type"]) == (503, "restored_copy"), refused.text

    async def listed() -> Any:
        shown = (await world.http.get(PATH, headers=world.headers)).json()
        return shown if "listed_at" in shown else None

    shown = await until(listed, what="the list")
    assert (shown["frozen"], shown["found_by"]) == (True, found_by)
    assert [each["value"] for each in shown["transactions"]] == ["0.8", "0.5"]
    assert all(each["agents"] == [agent.id] and each["wallet"] == wallet.address for each in shown["transactions"])
    assert (await world.http.post(f"{PATH}/open", headers=world.headers)).status_code == 409
    await world.post(f"{PATH}/count", {}, status=200)
    assert await spent(chain, wallet) == 19 * 10**17
    opened = await world.post(f"{PATH}/open", None, status=200)
    assert opened["frozen"] is False

    # the payment whose answer was lost is not made again, and what is left is 0.1, however many ask
    refused = await pay(agent, wallet, "0.8", to)
    assert refused.status_code in (403, 409), refused.text
    answers = await asyncio.gather(*(pay(agent, wallet, "0.1", address()) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [201, *[403] * 7]
    await chain.wait_nonce(wallet.address, 4)
    assert await spent(chain, wallet) == LIMIT
