"""Requests over the limit: one form of answer, counted by who really asks."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from talon.dashboard.sign_in import router as sign_in
from talon.dashboard.visit import Visit, visit
from tests.support.factories import make_agent
from tests.support.vault_app import client, make_app
from tests.vault.auth.people import an_email, log_in, make_person
from vault.auth import places, web_sessions
from vault.auth.dependencies import AnyCaller
from vault.auth.routers import ROUTERS as AUTH
from vault.context import Context
from vault.db import Database
from vault.health.router import router as health
from vault.limits import middleware
from vault.limits.middleware import RateLimit


@pytest.fixture
def limited(context: Context) -> FastAPI:
    # windows that no test outlasts, however slow the machine is
    limits = {"auth": "3/day", "ip": "10/day", "login": "10/day"}
    app = make_app(replace(context, options=replace(context.options, rate_limits=limits)), (health, *AUTH, sign_in))
    app.add_middleware(RateLimit)
    return app


@pytest.fixture
async def stranger(limited: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(limited, peer="203.0.113.77") as http:
        yield http


WRONG = {"api_key": "1ck_" + "x" * 40}


async def test_a_429_is_a_problem_with_retry_after(stranger: httpx.AsyncClient) -> None:
    answers = [await stranger.post("/v1/auth/api-key-token", json=WRONG) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    refused = answers[-1]
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/json"
    assert refused.json().keys() == {"type", "title", "status", "detail"}
    assert refused.json()["title"] == "Too Many Requests"


async def test_a_page_counts_once_and_says_so_in_a_page(stranger: httpx.AsyncClient) -> None:
    # its cookies are for an encrypted connection only
    stranger.base_url = httpx.URL("https://talon.test")
    form = (await stranger.get("/login")).text
    data = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    data |= {"email": "nobody@example.com", "password": "Wrong-password-1"}
    answers = [await stranger.post("/login", data=data) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].headers["content-type"].startswith("text/html")
    assert "Too many" in answers[-1].text
    # and may be sent again without typing everything anew
    assert 'name="password"' in answers[-1].text
    assert 'value="nobody@example.com"' in answers[-1].text
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_what_needs_a_credential_counts_against_the_wider_limit_only(stranger: httpx.AsyncClient) -> None:
    answers = [await stranger.get("/v1/auth/me") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2


async def test_an_agents_flood_counts_against_the_agent_and_not_its_humans_address(
    limited: FastAPI, database: Database
) -> None:
    person = await make_person(database)
    agent = await make_agent(database, person.org_id)
    async with client(limited, agent.key, peer="203.0.113.80") as http:
        # the first one is nobody's until its key is verified
        flood = [(await http.delete("/v1/auth/token")).status_code for _ in range(14)]
    assert flood == [204] * 11 + [429] * 3
    async with client(limited, person.key, peer="203.0.113.80") as http:
        assert (await http.get("/v1/auth/me")).status_code == 200
        assert (await log_in(http, person.email)).status_code == 200
    # nor does it help the agent to come from elsewhere
    async with client(limited, agent.key, peer="203.0.113.81") as http:
        assert (await http.delete("/v1/auth/token")).status_code == 429


async def test_nobodys_flood_shuts_nobody_out_who_is_somebody(limited: FastAPI, database: Database) -> None:
    person = await make_person(database)
    async with client(limited, peer="203.0.113.82") as http:
        assert [(await http.get("/v1/auth/me")).status_code for _ in range(12)][-1] == 429
        for path in ("agent-token", "api-key-token"):
            answers = [await http.post(f"/v1/auth/{path}", json=WRONG) for _ in range(5)]
            assert answers[-1].status_code == 429
        # the way in has a limit of its own
        token = (await log_in(http, person.email)).json()["access_token"]
    for credential, status in (
        (token, 200),
        (person.key, 200),
        (token[:-8] + "AAAAAAAA", 429),
        ("1ck_" + "x" * 40, 429),
    ):
        async with client(limited, credential, peer="203.0.113.82") as http:
            assert (await http.get("/v1/auth/me")).status_code == status


async def test_a_known_device_is_let_in_beside_a_flood_of_log_ins(limited: FastAPI, database: Database) -> None:
    person = await make_person(database)
    async with database.begin() as connection:
        device = await places.add_device(connection, person.id)
    async with client(limited, peer="203.0.113.83") as http:
        flood = [(await log_in(http, an_email(), "wrong")).status_code for _ in range(12)]
        assert flood == [401] * 10 + [429] * 2
        assert (await log_in(http, person.email)).status_code == 429
        http.headers["cookie"] = "__Host-talon_device=" + "x" * 43
        assert (await log_in(http, person.email)).status_code == 429
        http.headers["cookie"] = f"__Host-talon_device={device}"
        assert (await log_in(http, person.email)).status_code == 200


async def test_health_is_never_refused(stranger: httpx.AsyncClient) -> None:
    for path, status in (("/v1/health", 503), ("/v1/health/hsm", 200)):
        # no worker is here; no limit either
        assert {(await stranger.get(path)).status_code for _ in range(15)} == {status}


async def test_a_device_may_poll(stranger: httpx.AsyncClient) -> None:
    polls = [(await stranger.post("/v1/auth/device/token", json={})).status_code for _ in range(8)]
    assert 429 not in polls


async def test_only_a_trusted_proxy_says_who_asks(limited: FastAPI) -> None:
    async def post(peer: str, said: str) -> int:
        async with client(limited, peer=peer) as http:
            headers = {"X-Forwarded-For": said}
            return (await http.post("/v1/auth/api-key-token", json=WRONG, headers=headers)).status_code

    assert [await post("203.0.113.78", f"198.51.100.{n}") for n in range(4)] == [401, 401, 401, 429]
    assert [await post("10.0.0.7", f"198.51.100.{n}") for n in range(4)] == [401] * 4
    # a network of IPv6 is one client
    assert [await post("10.0.0.7", f"2001:db8:1:2::{n}") for n in range(4)] == [401, 401, 401, 429]
    assert await post("10.0.0.7", "2001:db8:1:3::1") == 401
    # who hides is counted with all who do, never as the proxy
    assert [await post("10.0.0.7", f"hidden-{n}") for n in range(4)] == [401, 401, 401, 429]
    assert await post("10.0.0.7", "10.0.0.7") == 401


class Slow:
    """An application with a route and a page that answer once they may, to three of a principal at once."""

    def __init__(self, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(middleware, "AT_ONCE", 3)
        router = APIRouter()
        self.inside, self.go_on = asyncio.Semaphore(0), asyncio.Event()

        @router.post("/v1/slow", status_code=204)
        async def slow(caller: AnyCaller) -> None:
            await self._wait()

        @router.get("/slow", status_code=204)
        async def slow_page(visitor: Annotated[Visit, Depends(visit)]) -> None:
            assert visitor.person is not None
            await self._wait()

        self.app = make_app(context, (*AUTH, router))
        self.app.add_middleware(RateLimit)

    async def _wait(self) -> None:
        self.inside.release()
        await self.go_on.wait()

    async def answers(self, *asked: Awaitable[httpx.Response]) -> list[int]:
        """The statuses of these requests, all made before three of them are answered."""
        tasks = [asyncio.ensure_future(each) for each in asked]
        for _ in range(3):
            await asyncio.wait_for(self.inside.acquire(), 60)
        waiting = set(tasks)
        while len(waiting) > 3:
            done, waiting = await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
            assert done, "more than three were let in"
        self.go_on.set()
        return sorted([(await each).status_code for each in tasks])


@pytest.fixture
def slow(context: Context, monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(context, monkeypatch)


async def test_of_a_credential_never_seen_before_so_many_are_served_at_once(slow: Slow, database: Database) -> None:
    agent = await make_agent(database, (await make_person(database)).org_id)
    async with client(slow.app, agent.key, peer="203.0.113.91") as http:
        assert await slow.answers(*(http.post("/v1/slow") for _ in range(8))) == [204] * 3 + [429] * 5
        # whoever was counted has left
        assert (await http.post("/v1/slow")).status_code == 204


async def test_of_several_credentials_of_one_principal_so_many_are_served_at_once(
    slow: Slow, database: Database
) -> None:
    agent = await make_agent(database, (await make_person(database)).org_id)
    async with client(slow.app, agent.key, peer="203.0.113.92") as http:
        tokens = [
            (await http.post("/v1/auth/agent-token", json={"api_key": agent.key})).json()["access_token"]
            for _ in range(3)
        ]
        credentials = [{"Authorization": f"Bearer {each}"} for each in (agent.key, *tokens)]
        asked = (http.post("/v1/slow", headers=each) for each in credentials for _ in range(2))
        assert await slow.answers(*asked) == [204] * 3 + [429] * 5


async def test_made_up_credentials_beside_a_session_are_no_way_around(slow: Slow, database: Database) -> None:
    person = await make_person(database)
    async with database.begin() as connection:
        session = await web_sessions.start(connection, person.caller, 1)
    async with client(slow.app, peer="203.0.113.93") as http:
        http.headers["cookie"] = f"__Host-talon_session={session}"
        asked = (http.get("/slow", headers={"Authorization": f"Bearer made up {number}"}) for number in range(8))
        assert await slow.answers(*asked) == [204] * 3 + [429] * 5


async def test_of_one_principal_so_many_are_served_at_once(slow: Slow, database: Database) -> None:
    """Requests that wait hold connections, and the address has no more of them than all at it need."""
    person = await make_person(database)
    agent = await make_agent(database, person.org_id)
    async with client(slow.app, agent.key, peer="203.0.113.90") as robot, client(slow.app, person.key) as human:
        # who it is has to be seen once
        assert (await robot.get("/v1/auth/me")).status_code == 403
        held = [asyncio.create_task(robot.post("/v1/slow")) for _ in range(3)]
        for _ in held:
            await asyncio.wait_for(slow.inside.acquire(), 60)
        refused = await robot.post("/v1/slow")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json().keys() == {"type", "title", "status", "detail"}
        assert (await human.get("/v1/auth/me")).status_code == 200
        slow.go_on.set()
        assert [(await each).status_code for each in held] == [204] * 3
        assert (await robot.post("/v1/slow")).status_code == 204
