"""The HSM or the database goes away: 503 with Retry-After, nothing half-done, and all goes on when they are back."""

import asyncio
import os
import signal
from typing import Any

import httpx

from tests.flows.test_nonces import assert_mined_once
from tests.support.hanging import hanging
from tests.support.instance import Running
from tests.support.world import World, address, until


async def test_without_the_signer_nothing_is_half_done(running: Running, human: World) -> None:
    wallet = await human.wallet()
    agent = await human.agent(tx_daily_limit_eth="1")
    (pid,) = running.pids("signer")

    async def unwell() -> Any:
        said = (await human.http.get("/v1/health/hsm")).json()
        return said if said["status"] != "ok" else None

    with hanging(pid):  # worse than being gone
        # at the same time: within seconds it is replaced
        answer, health = await asyncio.gather(
            agent.submit(wallet, address(), "1", gas_limit=21_000, idempotency_key="during"),
            until(unwell, what="health to say it: what it says may be a second old"),
        )
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert health["connected"] is False
    listed = await human.http.get(agent.url, headers=agent.headers)
    assert listed.json() == {"transactions": []}

    # nonce, spend and Idempotency-Key were all given back
    again = await agent.submit(wallet, address(), "1", gas_limit=21_000, idempotency_key="during")
    assert again.status_code == 201, again.text
    await assert_mined_once(human, wallet.address, [again.json()["tx_hash"]])


async def test_without_the_database_it_is_503_and_then_goes_on(running: Running, human: World) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    before = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert before.status_code == 201, before.text
    (pid,) = running.pids("postgres")
    os.kill(pid, signal.SIGKILL)

    answer = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
    assert answer.status_code in (201, 503), answer.text
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0

    async def back() -> httpx.Response | None:
        sent = await agent.submit(wallet, address(), "0.1", gas_limit=21_000)
        assert sent.status_code in (201, 503), sent.text
        return sent if sent.status_code == 201 else None

    after = await until(back, 60, "the database to be back")
    mined = [each.json()["tx_hash"] for each in (before, answer, after) if each.status_code == 201]
    await assert_mined_once(human, wallet.address, mined)


async def test_hsm_health_names_the_attacks_its_keys_stood(human: World) -> None:
    health = (await human.http.get("/v1/health/hsm")).json()
    assert health["status"] == "ok"
    assert health["connected"] is True
    checks = health["custody_checks"]
    assert len(checks) >= 8
    assert set(checks.values()) == {"refused"}
