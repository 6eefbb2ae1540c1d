"""While outsiders hold connections, knock and flood, a human still gets in and stops an agent: with the default
limits, at an instance of their own, from several addresses of this host."""

import asyncio
import itertools
import resource
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.support.instance import Running
from tests.support.pace import patient
from tests.support.report import LINES
from tests.support.world import SOAK, Agent, World, address, until
from vault.auth.lockout import FREE_OF_STRANGERS, strangers
from vault.limits.names import NAMES

STOPPED_WITHIN_S = 5
CONNECTIONS = 1_100
HERE, THERE, PROXY = "127.0.0.2", "127.0.0.3", "127.0.0.9"
# where the first human was before, behind the proxy
BEFORE = "198.51.100.11"
# what some systems give a process before it asks for more
FEW_DESCRIPTORS = 1_024
HELD_S = 60 if SOAK else 5


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    limits = {f"TALON_RATE_LIMIT_{name.upper()}": named.default for name, named in NAMES.items()}
    started = Running(tmp_path_factory.mktemp("doors"), {**limits, "TALON_TRUSTED_PROXIES": PROXY})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, hard))
    try:
        started.launch()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * CONNECTIONS)), hard))
    await asyncio.to_thread(started.wait_ready)
    yield started
    await started.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
async def human(running: Running) -> AsyncIterator[World]:
    world = await World.of(running)
    yield world
    await world.close()


@asynccontextmanager
async def client(running: Running, source: str, behind_proxy: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody's own connections, from an address of this host, or from any behind the trusted proxy."""
    headers = {"X-Forwarded-For": behind_proxy} if behind_proxy else {}
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(
        base_url=running.base_url, transport=transport, headers=headers, timeout=patient(60)
    ) as http:
        yield http


@asynccontextmanager
async def signing(human: World, running: Running) -> AsyncIterator[Agent]:
    """An agent that signs all the while; in the end none of its signatures is younger than its freeze."""
    wallet = await human.wallet()
    async with client(running, "127.0.0.4") as http:
        agent = await human.agent(http)
        answers: Counter[int] = Counter()

        async def sign() -> None:
            for _ in itertools.count():
                answers[(await agent.sign(wallet, address(), "0")).status_code] += 1

        task = asyncio.create_task(sign())
        try:
            await until(lambda: seen(answers, 200), patient(60), "a signature")
            yield agent
            await until(lambda: seen(answers, 403), patient(60), "a refusal")
        finally:
            task.cancel()
    # an agent that floods has used up what it may
    assert {200, 403} <= set(answers) <= {200, 403, 429}, answers
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as looking:
        found = await looking.execute(
            "SELECT count(*) FILTER (WHERE a.created_at > f.frozen_at), count(*) FROM attempts a"
            " JOIN transactions t ON t.id = a.transaction_id JOIN freezes f ON f.target_id = t.agent_id"
            " WHERE t.agent_id = %s",
            (agent.id,),
        )
        late, all_ = await found.fetchone() or (None, None)
    assert late == 0
    assert all_ >= 1


async def seen(answers: Counter[int], status: int) -> bool:
    return answers[status] > 0


async def more(answers: Counter[int], status: int, than: int) -> bool:
    return answers[status] > than


async def stop(running: Running, http: httpx.AsyncClient, agent: Agent, what: str) -> None:
    """Log in with the password and freeze the agent, as somebody who has just heard of it does."""
    began = monotonic()
    body = {"email": running.admin_email, "password": running.admin_password}
    answer = await http.post("/v1/auth/token", json=body)
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    answer = await http.post(f"/v1/agents/{agent.id}/freeze", json={"reason": what}, headers=headers)
    assert answer.status_code == 200, answer.text
    took = monotonic() - began
    LINES.append(f"an agent is stopped beside {what} in {took:.2f} s")
    assert took < patient(STOPPED_WITHIN_S)


@asynccontextmanager
async def meanwhile(*doings: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """These, again and again, all the while."""

    async def repeat(doing: Callable[[], Awaitable[None]]) -> None:
        for _ in itertools.count():
            await doing()

    tasks = [asyncio.create_task(repeat(doing)) for doing in doings]
    try:
        yield
        # nobody's doing ended in an error
        assert [task.exception() for task in tasks if task.done()] == []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_beside_connections_that_say_nothing_or_little(running: Running, human: World) -> None:
    opened = 0

    def holder(number: int) -> Callable[[], Awaitable[None]]:
        source = HERE if number % 2 else THERE
        # silent, half a head, and that with a byte a second; those that lack only their body come on top
        begin = b"" if number // 2 % 2 else b"GET /v1/health HTTP/1.1\r\nX-"
        drips = bool(begin) and number // 4 % 2 == 0
        if number >= CONNECTIONS:
            begin, drips = b"POST /v1/auth/token HTTP/1.1\r\nContent-Length: 90\r\n\r\n", True

        async def hold() -> None:
            nonlocal opened
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port, local_addr=(source, 0))
                opened += 1
                try:
                    writer.write(begin)
                    while drips:
                        writer.write(b"a")
                        await writer.drain()
                        await asyncio.sleep(1)
                    await reader.read()
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.5)

        return hold

    holders = [holder(number) for number in range(CONNECTIONS + 100)]
    async with signing(human, running) as agent, meanwhile(*holders):

        async def all_held() -> bool:
            return opened >= len(holders)

        await until(all_held, patient(60), "all connections")
        await asyncio.sleep(HELD_S)
        # from an address that half of them come from
        async with client(running, HERE) as http:
            await stop(running, http, agent, f"{CONNECTIONS} connections without a request")
    said = [line for line in (running.layout.logs / "api-1.log").read_text().splitlines() if "closed by us" in line]
    assert 1 <= len(said) <= 2 + patient(HELD_S + 60) / 60


async def test_beside_outsiders_who_knock(running: Running, human: World) -> None:
    told: Counter[int] = Counter()
    async with client(running, PROXY) as outside, signing(human, running) as agent:

        async def knock(email: str, where: str) -> None:
            body = {"email": email, "password": "Wrong-Guess-1"}
            answer = await outside.post("/v1/auth/token", json=body, headers={"X-Forwarded-For": where})
            told[answer.status_code] += 1

        async def knocking() -> None:
            await knock(running.admin_email, "203.0.113.1")
            await asyncio.sleep(0.3)

        def crowd(number: int) -> Callable[[], Awaitable[None]]:
            return lambda: knock(f"{uuid4()}@example.com", f"203.0.113.{100 + number}")

        while not told[429]:
            await knock(running.admin_email, "203.0.113.1")
        async with meanwhile(knocking, *(crowd(number) for number in range(40))):
            # each hash is slow on purpose: what counts is whose turn comes when
            before = told[401]
            await until(lambda: more(told, 401, before + 40), patient(60), "a turn of everybody in the crowd")
            # from where he never was before
            async with client(running, PROXY, "198.51.100.10") as http:
                await stop(running, http, agent, "outsiders who knock")
    assert set(told) <= {401, 429, 503}
    assert told[401] >= 40


@pytest.fixture
async def ceiling(running: Running) -> AsyncIterator[None]:
    """Strangers have failed at the first human's account as often as an hour bears."""
    subject = strangers(running.admin_email).digest
    async with client(running, PROXY, BEFORE) as http:
        body = {"email": running.admin_email, "password": running.admin_password}
        assert (await http.post("/v1/auth/token", json=body)).status_code == 200
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        await database.execute(
            "INSERT INTO lockouts (subject, failures, last_failed_at, locked_until)"
            " VALUES (%s, %s, now(), now() + interval '1 hour')"
            " ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures, locked_until = excluded.locked_until",
            (subject, FREE_OF_STRANGERS),
        )
        yield
        await database.execute("DELETE FROM lockouts WHERE subject = %s", (subject,))


async def test_over_the_ceiling_from_where_he_was_before(running: Running, human: World, ceiling: None) -> None:
    body = {"email": running.admin_email, "password": running.admin_password}
    async with signing(human, running) as agent:
        async with client(running, PROXY, "198.51.100.99") as http:
            refused = await http.post("/v1/auth/token", json=body)
            assert refused.status_code == 429
            assert "a mail with a link" in refused.json()["detail"]
        async with client(running, PROXY, BEFORE) as http:
            await stop(running, http, agent, "a hundred failures an hour")
    mails = await human.http.get("/v1/admin/outbox", params={"to": running.admin_email}, headers=human.headers)
    assert "/know-device?token=" in mails.json()["messages"][0]["text"]
    # and on the host itself from any
    async with client(running, HERE) as http:
        assert (await http.post("/v1/auth/token", json=body)).status_code == 200


async def test_beside_an_agents_flood_from_the_humans_own_address(running: Running, human: World) -> None:
    told: dict[str, Counter[int]] = {kind: Counter() for kind in ("key", "no key", "exchange", "wrong exchange")}
    where = "198.51.100.20"
    async with client(running, PROXY, where) as flooding, signing(human, running) as agent:
        wrong = "ocv_" + "x" * 43

        def flood(kind: str) -> Callable[[], Awaitable[None]]:
            key = agent.key if kind in ("key", "exchange") else wrong

            async def send() -> None:
                if "exchange" in kind:
                    answer = await flooding.post("/v1/auth/agent-token", json={"api_key": key})
                else:
                    answer = await flooding.get("/v1/agents/me", headers={"Authorization": f"Bearer {key}"})
                told[kind][answer.status_code] += 1

            return send

        # of both kinds that come without a credential that counts there is more than the address may
        async with meanwhile(*(flood(kind) for kind in told for _ in range(10))):
            for kind in ("exchange", "wrong exchange"):
                await until(lambda kind=kind: seen(told[kind], 429), patient(60), f"too many: {kind}")  # type: ignore[misc]  # mypy and a bound default
            async with client(running, PROXY, where) as http:
                await stop(running, http, agent, "a flood from the human's own address")
    assert told["key"][200] > 0
    assert set(told["key"]) <= {200, 429}
    assert set(told["no key"]) <= {401, 429}
