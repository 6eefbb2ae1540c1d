"""SIGKILL under load: whatever dies, every accepted intent is mined exactly once and no nonce is skipped.

`make test` runs a short form, `make soak` 50 kills of each kind (and 20 of a claim's holder).
"""

import asyncio
import os
import random
import signal
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from intents.idempotency import LEASE_S
from talon.processes import EARLY_KILL_S
from tests.flows.test_nonces import assert_mined_once
from tests.support.faulty_rpc import Delay
from tests.support.instance import Running
from tests.support.odd_node import OddNode
from tests.support.world import ETHER, SOAK, Agent, Wallet, World, address, until

KILLS = 50 if SOAK else 3
CLAIM_KILLS = 20 if SOAK else 2
PER_ROUND = 12
RESTART_S = 8


async def insist(agent: Agent, wallet: Wallet, to: str, key: str, timeout_s: float = 90) -> dict:
    """Submit with one Idempotency-Key until it is accepted, as a client does whose server keeps dying."""

    async def once() -> dict | None:
        try:
            answer = await agent.submit(wallet, to, "0.01", idempotency_key=key, gas_limit=21_000)
        except httpx.HTTPError:
            return None
        # 401 and 5xx come from processes that are just starting or dying; anything else would be a lie
        assert answer.status_code in (200, 201, 409, 500, 502, 503), answer.text
        assert answer.status_code != 500, answer.text
        return answer.json() if answer.status_code in (200, 201) else None

    return await until(once, timeout_s, f"key {key} accepted", every_s=0.3)


async def rounds(running: Running, world: World, process: str, kills: int) -> None:
    rng = random.Random(11)
    wallet = await world.wallet()
    agent = await world.agent()
    to = address()
    hashes: list[str] = []
    for _ in range(kills):
        # a child that is killed again and again in its first second is taken for one that cannot run
        await asyncio.sleep(EARLY_KILL_S)
        load = [asyncio.create_task(insist(agent, wallet, to, str(uuid4()))) for _ in range(PER_ROUND)]
        await asyncio.sleep(rng.uniform(0, 0.25))
        os.kill(rng.choice(await alive(running, process)), signal.SIGKILL)
        hashes += [body["tx_hash"] for body in await asyncio.gather(*load)]
    assert len(set(hashes)) == kills * PER_ROUND
    await assert_mined_once(world, wallet.address, hashes)
    assert await world.chain.balance(to) == len(hashes) * 10**16


async def alive(running: Running, process: str) -> list[int]:
    async def ask() -> list[int]:
        return running.pids(process)

    return await until(ask, 30, f"a running {process}")


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_sigkill_of_an_api_process_under_load(running: Running, human: World) -> None:
    await rounds(running, human, "api", KILLS)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_sigkill_of_the_signer_under_load(running: Running, human: World) -> None:
    await rounds(running, human, "signer", KILLS)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_the_holder_of_a_claim_is_killed_before_it_commits(
    running: Running, human: World, node: OddNode
) -> None:
    wallet = await human.wallet()
    agent = await human.agent()
    to = address()
    hashes = []
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        for _ in range(CLAIM_KILLS):
            key = str(uuid4())
            node.mode = Delay(seconds=1.0)
            try:
                first = asyncio.create_task(agent.submit(wallet, to, "0.01", idempotency_key=key, gas_limit=21_000))

                async def claimed() -> bool:
                    row = await (
                        await database.execute(
                            "SELECT count(*) FROM idempotency_keys WHERE agent_id = %s AND transaction_id IS NULL",
                            (UUID(agent.id),),
                        )
                    ).fetchone()
                    return row is not None and row[0] == 1

                await until(claimed, 10, "the claim", every_s=0.02)
                for pid in running.pids("api"):
                    os.kill(pid, signal.SIGKILL)
            finally:
                node.mode = None
            with pytest.raises(httpx.HTTPError):
                await first
            # the rest of the lease, and the time a new process takes to start
            body = await insist(agent, wallet, to, key, timeout_s=LEASE_S + RESTART_S)
            assert (await insist(agent, wallet, to, key))["tx_hash"] == body["tx_hash"]
            hashes.append(body["tx_hash"])
    await assert_mined_once(human, wallet.address, hashes)


@pytest.mark.timeout(600)
async def test_sigkill_between_the_redemption_and_the_commit(running: Running, human: World) -> None:
    """The wallet goes on at that nonce under an approval that names what was signed; `verify` shows it."""
    wallet = await human.wallet()
    agent = await human.agent()
    account = bytes.fromhex(wallet.address[2:])
    lost_to, to = address(), address()
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:

        async def redemptions() -> list[tuple[bytes, bytes | None, str | None]]:
            rows = await database.execute(
                "SELECT digest, displaces, reason FROM signer.redemptions WHERE address = %s ORDER BY sequence",
                (account,),
            )
            return [
                (bytes(digest), displaced and bytes(displaced), reason) async for digest, displaced, reason in rows
            ]

        async def verified() -> dict:
            # what is younger than half a minute may still be on its way
            await database.execute(
                "UPDATE signer.redemptions SET redeemed_at = redeemed_at - interval '1 minute' WHERE address = %s",
                (account,),
            )
            answer = await human.http.get("/v1/audit/verify", headers=human.headers)
            assert answer.status_code == 200, answer.text
            return answer.json()

        async with database.transaction():
            # reads go on; whoever writes what was signed waits
            await database.execute("LOCK TABLE attempts IN SHARE MODE")
            doomed = asyncio.create_task(agent.submit(wallet, lost_to, "2", gas_limit=21_000))
            signed = await until(redemptions, 30, "the redemption", every_s=0.01)
            for pid in running.pids("api"):
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(httpx.HTTPError):
                await doomed
        [(lost, _, _)] = signed
        await until(running.healthy, 60, "the API again")
        (unaccounted,) = (await verified())["unaccounted_signatures"]
        assert (unaccounted["digest"], unaccounted["value_wei"]) == (f"0x{lost.hex()}", str(2 * ETHER))

        body = await insist(agent, wallet, to, str(uuid4()))
        [_, (digest, displaced, reason)] = await redemptions()
        assert (displaced, reason) == (lost, "rolled_back")
        rows = await database.execute("SELECT value_wei FROM signer.signed_nonces WHERE address = %s", (account,))
        # the larger of the two stays spent in the signer's book
        assert await rows.fetchall() == [(2 * ETHER,)]
        answer = await verified()
        assert "unaccounted_signatures" not in answer
        (shown,) = answer["displaced_digests"]
        assert (shown["displaced_digest"], shown["digest"]) == (f"0x{lost.hex()}", f"0x{digest.hex()}")
        assert (shown["reason"], shown["nonce"], shown["agent_id"]) == ("rolled_back", 0, agent.id)
    # the one that was committed is mined, at the nonce of both, and nothing else is
    await assert_mined_once(human, wallet.address, [body["tx_hash"]])
    assert await human.chain.balance(to) == 10**16
    assert await human.chain.balance(lost_to) == 0
