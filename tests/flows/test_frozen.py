"""A human freezes: nothing more is signed from the commit on, whatever waits already; everything else goes on."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import httpx
import psycopg
import pyotp
import pytest

from tests.support.faulty_rpc import Hold
from tests.support.hanging import hanging
from tests.support.instance import Running
from tests.support.odd_node import OddNode
from tests.support.pace import patient
from tests.support.people import SomeBody, bearer, sign_up
from tests.support.published import assert_declared
from tests.support.world import Agent, World, address, until

WHY = "It pays somebody we do not know"
SCOPES = ["agents", "org", "admin"]


@pytest.fixture(autouse=True)
async def thawed(human: World) -> AsyncIterator[None]:
    yield
    for url in ("/v1/org/unfreeze", "/v1/admin/unfreeze"):
        await human.post(url, None, 200)


async def freeze(world: World, agent: Agent, scope: str) -> None:
    await world.post(f"/v1/agents/{agent.id}/freeze" if scope == "agents" else f"/v1/{scope}/freeze",
                     {"reason": WHY}, 200)  # fmt: skip


def is_frozen(answer: httpx.Response) -> bool:
    body = assert_declared(answer)
    return answer.status_code == 403 and body["type"] == "agent_frozen" and WHY in body["detail"]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("path", ["", "/sign"], ids=["submit", "sign"])
async def test_what_waits_in_simulation_is_not_signed(human: World, node: OddNode, scope: str, path: str) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    hold = node.faults["eth_simulateV1"] = Hold()
    asked = node.count("eth_simulateV1")
    body = {"to": address(), "value": "1", "chain": "anvil", "signing_key_path": wallet.path}
    waiting = asyncio.create_task(agent.post(path, body, {"Idempotency-Key": "k"} if not path else None))

    async def simulating() -> bool:
        return node.count("eth_simulateV1") > asked

    await until(simulating, what="the simulation", every_s=0.02)
    await freeze(human, agent, scope)
    hold.released.set()
    answer = await waiting

    assert is_frozen(answer), answer.text
    assert (await human.http.get(f"{agent.url}", headers=human.headers)).json()["transactions"] == []
    assert await human.chain.nonce(wallet.address, "pending") == 0


@pytest.mark.parametrize("scope", SCOPES)
async def test_what_waits_behind_locks_and_in_the_queue_is_not_signed(
    human: World, running: Running, scope: str
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    first = await agent.submit(wallet, address(), "1")
    assert first.status_code == 201, first.text
    async with (
        await psycopg.AsyncConnection.connect(running.owner_dsn) as locking,
        await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as looking,
    ):
        await locking.execute("SELECT 1 FROM agent_budgets WHERE agent_id = %s FOR UPDATE", (agent.id,))
        # one has the wallet's turn and waits for the lock, the others for their turn
        submissions = [asyncio.create_task(agent.submit(wallet, address(), "1")) for _ in range(3)]
        submissions.append(asyncio.create_task(agent.sign(wallet, address(), "1")))

        async def behind_the_lock() -> bool:
            found = await looking.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
            )
            return await found.fetchone() is not None

        await until(behind_the_lock, what="a submission behind the lock", every_s=0.02)
        await freeze(human, agent, scope)
        await locking.rollback()
    for answer in await asyncio.gather(*submissions):
        assert is_frozen(answer), answer.text
    listed = (await human.http.get(agent.url, headers=human.headers)).json()["transactions"]
    assert [each["id"] for each in listed] == [first.json()["id"]]


async def test_everything_but_signing_goes_on(human: World) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    sent = (await agent.submit(wallet, address(), "1", idempotency_key="sent")).json()
    # gas that no node takes for now, so that it stays in flight and can be given up
    stuck = (await agent.submit(wallet, address(), "1", max_fee_per_gas="1", max_priority_fee_per_gas="1")).json()
    await freeze(human, agent, "agents")

    for answer in (
        await agent.submit(wallet, address(), "1"),
        await agent.sign(wallet, address(), "1"),
        # what a simulation answers is what a submission would be answered
        await agent.simulate(wallet, address(), "1"),
    ):
        assert is_frozen(answer), answer.text
        assert answer.json()["frozen_by"].startswith("user:")
    assert (await agent.mined(sent["id"]))["receipt"]["status"] == "success"
    # a request that was carried out before is answered again, and the credential counts
    assert (await human.http.get("/v1/agents/me", headers=agent.headers)).status_code == 200
    given_up = await agent.give_up(stuck["id"])
    assert given_up.status_code == 200, given_up.text
    await human.chain.wait_nonce(wallet.address, 2)

    await human.post(f"/v1/agents/{agent.id}/unfreeze", {"reason": "It was us"}, 200)
    assert (await agent.submit(wallet, address(), "1")).status_code == 201


async def test_a_freeze_is_through_at_once_under_load(human: World, running: Running) -> None:
    agent = await human.agent()
    wallets = [await human.wallet() for _ in range(4)]
    stopping = False
    answers: list[tuple[httpx.Response, float]] = []
    slowest_s = 0.0

    async def flood(index: int) -> None:
        nonlocal slowest_s
        while not stopping:
            began = monotonic()
            answers.append((await agent.sign(wallets[index % 4], address(), "0"), began))
            slowest_s = max(slowest_s, monotonic() - began)

    floods = [asyncio.create_task(flood(index)) for index in range(24)]
    try:

        async def flowing() -> bool:
            return sum(1 for answer, _ in answers if answer.status_code == 200) > 50

        await until(flowing, what="a flood of signatures", every_s=0.05)
        began = monotonic()
        frozen = await human.post(f"/v1/agents/{agent.id}/freeze", {"reason": WHY}, 200)
        done = monotonic()
        count = len(answers)

        async def refusing() -> bool:
            return len(answers) > count + 100

        await until(refusing, what="what came after", every_s=0.05)
    finally:
        stopping = True
        await asyncio.gather(*floods)
    # on a machine where a signature takes seconds, not longer than one
    assert done - began < max(5, slowest_s)
    for answer, asked in answers:
        assert answer.status_code == 200 or is_frozen(answer), answer.text
        assert asked < done or is_frozen(answer), answer.text
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as looking:
        found = await looking.execute(
            "SELECT count(*) FILTER (WHERE a.created_at > %s), count(*) FROM attempts a"
            " JOIN transactions t ON t.id = a.transaction_id WHERE t.agent_id = %s",
            (frozen["frozen_at"], agent.id),
        )
        (late, all_) = await found.fetchone() or (None, None)
    assert late == 0
    assert all_ >= 50


async def test_a_freeze_does_not_wait_for_a_signer_that_hangs(human: World, running: Running) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    (pid,) = running.pids("signer")
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as looking:

        async def holds_the_gate() -> bool:
            found = await looking.execute(
                "SELECT 1 FROM pg_locks WHERE granted AND relation = 'freezes'::regclass AND mode = 'RowShareLock'"
            )
            return await found.fetchone() is not None

        with hanging(pid):
            waiting = [
                asyncio.create_task(agent.submit(wallet, address(), "1", gas_limit=21_000)),
                asyncio.create_task(agent.sign(wallet, address(), "1", gas_limit=21_000)),
            ]
            await until(holds_the_gate, what="a signature under way", every_s=0.02)
            began = monotonic()
            await freeze(human, agent, "agents")
            took_s = monotonic() - began
        answers = await asyncio.gather(*waiting)
        # half of what the freeze itself would wait; 4 s, unless the machine is slow
        assert took_s < 6.5
        # one had the gate and gave up, the other was behind it or came too late
        assert all(answer.status_code == 503 or is_frozen(answer) for answer in answers), [a.text for a in answers]
        assert is_frozen(await agent.submit(wallet, address(), "1"))
        # what the signer was asked for while it hung it does not sign when it goes on: its queue is in order
        other = await human.agent()
        assert (await other.submit(wallet, address(), "0", gas_limit=21_000)).status_code == 201
        found = await looking.execute(
            "SELECT count(*) FROM attempts a JOIN transactions t ON t.id = a.transaction_id WHERE t.agent_id = %s",
            (agent.id,),
        )
        assert await found.fetchone() == (0,)
        redeemed = await looking.execute("SELECT count(*) FROM signer.redemptions WHERE agent_id = %s", (agent.id,))
        assert await redeemed.fetchone() == (0,)


async def test_what_is_read_behind_the_gate_is_in_the_four_seconds_too(
    human: World, running: Running, node: OddNode
) -> None:
    """A database that is slow there keeps a freeze waiting as a signer does."""
    wallet, agent = await human.wallet(), await human.agent()
    hold = node.faults["eth_simulateV1"] = Hold()
    asked = node.count("eth_simulateV1")
    waiting = asyncio.create_task(agent.submit(wallet, address(), "1"))

    async def simulating() -> bool:
        return node.count("eth_simulateV1") > asked

    await until(simulating, what="the simulation", every_s=0.02)
    async with (
        await psycopg.AsyncConnection.connect(running.owner_dsn) as locking,
        await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as looking,
    ):
        # the key is looked up behind the gate
        await locking.execute("LOCK TABLE secret_versions IN ACCESS EXCLUSIVE MODE")
        hold.released.set()

        async def behind_the_gate() -> bool:
            found = await looking.execute(
                "SELECT 1 FROM pg_locks g JOIN pg_locks w USING (pid) WHERE g.granted"
                " AND g.relation = 'freezes'::regclass AND NOT w.granted AND w.relation = 'secret_versions'::regclass"
            )
            return await found.fetchone() is not None

        await until(behind_the_gate, what="a submission behind the gate", every_s=0.02)
        began = monotonic()

        async def approvals_life_is_over() -> bool:
            return monotonic() - began > 4.1

        await until(approvals_life_is_over, every_s=0.1)
        await locking.rollback()
        answer = await waiting
        assert answer.status_code == 503, answer.text
        redeemed = await looking.execute("SELECT count(*) FROM signer.redemptions WHERE agent_id = %s", (agent.id,))
        assert await redeemed.fetchone() == (0,)


async def second_factor(person: SomeBody) -> str:
    """The secret of a second factor that is switched on."""
    session = bearer(await person.log_in())
    secret = str((await person.http.post("/v1/auth/mfa/setup", headers=session)).json()["secret"])
    body = {"code": pyotp.TOTP(secret).now()}
    assert (await person.http.post("/v1/auth/mfa/verify-setup", json=body, headers=session)).status_code == 200
    return secret


async def waits_at(looking: psycopg.AsyncConnection, table: str, count: int) -> None:
    """Until so many wait for a lock of this table."""

    async def they_do() -> bool:
        found = await looking.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST(%s AS regclass)", (table,)
        )
        return ((await found.fetchone()) or (0,))[0] >= count

    await until(they_do, what=f"{count} that wait at {table}", every_s=0.02)


async def test_a_password_is_enough_past_agents_and_other_freezes_that_wait_at_locks(
    human: World, running: Running
) -> None:
    submitting = [(await human.agent(), await human.wallet()) for _ in range(20)]
    async with (
        await psycopg.AsyncConnection.connect(running.owner_dsn) as locking,
        await psycopg.AsyncConnection.connect(running.owner_dsn) as signing,
        await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as looking,
    ):
        plain, careful = await sign_up(human, looking), await sign_up(human, looking)
        theirs = {}
        for person in (plain, careful):
            session = bearer(await person.log_in())
            made = await human.http.post("/v1/agents", json={"name": "its agent"}, headers=session)
            theirs[person.id] = made.json()["agent"]["id"]
        secret = await second_factor(careful)
        await looking.execute("UPDATE second_factors SET last_step = 0 WHERE user_id = %s", (careful.id,))
        await locking.execute("LOCK TABLE agent_budgets IN EXCLUSIVE MODE")
        is_over = asyncio.Event()

        async def submit(index: int) -> None:
            agent, wallet = submitting[index]
            while not is_over.is_set():
                await agent.submit(wallet, address(), "0", gas_limit=21_000)

        async def stop(person: SomeBody) -> float:
            """Seconds from the password to the freeze."""
            began = monotonic()
            body = {"email": person.email, "password": person.password}
            answer = await person.http.post("/v1/auth/token", json=body)
            if person is careful:
                code = {"mfa_token": answer.json()["mfa_token"], "code": pyotp.TOTP(secret).now()}
                answer = await person.http.post("/v1/auth/mfa/verify", json=code)
            assert answer.status_code == 200, answer.text
            session = bearer(answer.json()["access_token"])
            listed = await person.http.get("/v1/agents", headers=session)
            assert [each["id"] for each in listed.json()["agents"]] == [theirs[person.id]]
            has_logged_in.release()
            url = f"/v1/agents/{theirs[person.id]}/freeze"
            answer = await person.http.post(url, json={"reason": WHY}, headers=session)
            assert answer.status_code == 200, answer.text
            return monotonic() - began

        async with asyncio.TaskGroup() as others:
            for index in range(len(submitting)):
                others.create_task(submit(index))
            await waits_at(looking, "agent_budgets", 10)
            with pytest.raises(httpx.ReadTimeout):
                # not one connection is left to those who share them
                await human.http.get("/v1/agents/me", headers=submitting[0][0].headers, timeout=1)
            # as a signature under way has it
            await signing.execute("LOCK TABLE freezes IN ROW SHARE MODE")
            for agent, _ in submitting[:2]:
                others.create_task(freeze(human, agent, "agents"))
            await waits_at(looking, "freezes", 2)
            has_logged_in = asyncio.Semaphore(0)
            stops = [others.create_task(stop(person)) for person in (plain, careful)]
            for _ in stops:
                await has_logged_in.acquire()
            await waits_at(looking, "freezes", 3)
            await signing.rollback()
            took_s = [await each for each in stops]
            is_over.set()
            await locking.rollback()
    assert max(took_s) < patient(5)
