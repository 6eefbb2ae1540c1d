"""A database of the operator's own goes away, or takes no writes, and comes back: nothing is lost or paid twice."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import pytest

from tests.flows.test_nonces import assert_mined_once
from tests.support.instance import Running, start_instance
from tests.support.lost_postgres import LostPostgres, lost_postgres
from tests.support.pace import patient
from tests.support.small_disk import has_namespaces
from tests.support.world import SOAK, Agent, Wallet, World, address, until

PAYMENTS = 8
# an answer comes within this: longer than any timeout of ours, shorter than a client's patience
ANSWER_S = 40
TO = address()


@pytest.fixture(scope="module")
def postgres() -> Iterator[LostPostgres]:
    with lost_postgres() as server:
        yield server


@pytest.fixture(scope="module")
async def running(postgres: LostPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    running = await start_instance(tmp_path_factory.mktemp("lost"), {"TALON_DATABASE_URL": postgres.url_of_talon})
    yield running
    assert running.process is not None
    assert running.process.poll() is None, running.lines
    await running.stop()


@pytest.fixture(scope="module")
async def world(running: Running) -> AsyncIterator[World]:
    world = await World.enter(running.base_url, running.rpc_url, running.admin_email, running.admin_password)
    yield world
    await world.close()


@dataclass
class Payments:
    """One agent's, each under a key of its own, submitted until it is answered."""

    agent: Agent
    wallet: Wallet
    hashes: dict[int, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    slowest_s: float = 0

    async def submit(self, number: int) -> None:
        began = time.monotonic()
        key = f"{self.wallet.address}-{number}"
        answer = await self.agent.submit(self.wallet, TO, "0.1", gas_limit=21_000, idempotency_key=key)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        assert answer.status_code in (200, 201, 409, 503), answer.text
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            self.refusals.append(answer.json()["detail"])
        elif answer.status_code != 409:
            tx_hash = answer.json()["tx_hash"]
            assert self.hashes.setdefault(number, tx_hash) == tx_hash
        else:
            # the first request's claim is held until its lease ends
            assert "is still being processed" in answer.text, answer.text

    async def all(self, count: int = PAYMENTS) -> None:
        async def done() -> bool:
            await asyncio.gather(*(self.submit(number) for number in range(count) if number not in self.hashes))
            return len(self.hashes) == count

        await until(done, 60, "every payment", every_s=1)


@pytest.fixture
async def payments(world: World, postgres: LostPostgres) -> AsyncIterator[Payments]:
    """Two are made; behind the test, all are, once each, by the chain and by the database."""
    payments = Payments(await world.agent(tx_daily_limit_eth="5"), await world.wallet())
    await payments.all(2)
    yield payments
    await payments.all()
    await assert_mined_once(world, payments.wallet.address, list(payments.hashes.values()))
    rows = postgres.ask(
        "talon",
        "SELECT nonce, '0x' || encode(tx_hash, 'hex') FROM transactions WHERE wallet_address = %s ORDER BY nonce",
        bytes.fromhex(payments.wallet.address.removeprefix("0x")),
    )
    assert [nonce for nonce, _ in rows] == list(range(PAYMENTS))
    assert {tx_hash for _, tx_hash in rows} == set(payments.hashes.values())
    spent = postgres.ask(
        "talon", "SELECT sum(value_wei) FROM spend_reservations WHERE agent_id = %s", payments.agent.id
    )
    assert spent[0][0] == PAYMENTS * 10**17


async def reasons(running: Running) -> list[str]:
    async with httpx.AsyncClient(base_url=running.base_url, timeout=30) as http:
        answer = await http.get("/v1/health")
    assert answer.status_code in (200, 503), answer.text
    assert (answer.status_code == 503) == bool(answer.json().get("reasons"))
    return answer.json().get("reasons", [])


async def says(running: Running, reason: str) -> None:
    async def said() -> bool:
        return reason in await reasons(running)

    await until(said, 30, f"health to say {reason!r}")


async def tried_again(running: Running, lines: int) -> None:
    """Two starts of the worker that were in vain."""

    async def seen() -> bool:
        return sum("worker ended before it was ready" in line for line in running.lines[lines:]) >= 2

    await until(seen, 60, "two starts in vain")


# short: one that is stopped is waited for longer, and tests/vault/test_bounded.py knows it too
@pytest.mark.soak
@pytest.mark.parametrize("trouble", [LostPostgres.killed, LostPostgres.stopped][: 2 if SOAK else 1])
async def test_what_goes_away_is_waited_for(
    running: Running,
    postgres: LostPostgres,
    payments: Payments,
    trouble: Callable[[LostPostgres], AbstractContextManager[None]],
) -> None:
    before = {name: running.pids(name) for name in running.process_names()}
    lines, began = len(running.lines), time.monotonic()
    with trouble(postgres):
        # some meet it on the way, some find it gone
        await asyncio.gather(
            *(payments.submit(number) for number in range(2, PAYMENTS)),
            says(running, "The database does not answer."),
        )
        await payments.submit(2)
        assert payments.refusals
        assert payments.slowest_s < patient(ANSWER_S), payments.slowest_s
        # whoever starts meanwhile waits for it too
        os.kill(before["worker"][0], signal.SIGKILL)
        await tried_again(running, lines)
        assert "The database does not answer." in await reasons(running)
    await until(running.stays_healthy, 60, "health")
    after = {name: running.pids(name) for name in before}
    assert after | {"worker": []} == before | {"worker": []}
    # one end by us, and behind it with growing pauses: not a start a second
    ends = [line for line in running.lines[lines:] if "ended" in line]
    assert all(line.startswith("worker ended") for line in ends), ends
    assert len(ends) <= 2 + (time.monotonic() - began) / 4, ends


async def everything(world: World, agent: Agent, wallet: Wallet) -> dict[str, httpx.Response]:
    """Requests of every kind: people's and agents', reads and writes, log-ins and large values."""
    http, mine, vault = world.http, world.headers, f"/v1/vaults/{world.vault_id}"
    large = {"type": "password", "value": os.urandom(30_000).hex()}
    requests = {
        "pages": http.get(agent.url, headers=agent.headers),
        "simulation": agent.simulate(wallet, TO, "0.001"),
        "refusal": agent.submit(wallet, TO, "100"),
        "signature": agent.sign(wallet, TO, "0.001", gas_limit=21_000),
        "vaults": http.get("/v1/vaults", headers=mine),
        "vault": http.post("/v1/vaults", json={"name": f"{uuid4()}", "description": ""}, headers=mine),
        "agent": http.post("/v1/agents", json={"name": f"{uuid4()}"}, headers=mine),
        "secret": http.put(f"{vault}/secrets/app/large", json=large, headers=mine),
        "key": http.put(f"{vault}/secrets/{wallet.path}/another", json=key_of_its_own(), headers=mine),
        "generated": http.post(f"{vault}/secret-generate/keys/{uuid4()}", headers=mine),
        "log-in": http.post("/v1/auth/token", json={"email": "nobody@talon.local", "password": "not it at all"}),
        "API key": http.post("/v1/auth/api-keys", json={"name": "another"}, headers=mine),
        "audit": http.get("/v1/audit/events", headers=mine),
        "metrics": http.get("/metrics"),
    }
    return dict(zip(requests, await asyncio.gather(*requests.values()), strict=True))


def key_of_its_own() -> dict[str, str]:
    return {"type": "private_key", "value": f"0x{os.urandom(32).hex()}"}


@pytest.mark.parametrize(
    ("trouble", "reason", "detail", "refused"),
    [
        (
            LostPostgres.read_only,
            "The database takes no writes: it is read-only.",
            "The database takes no writes: it is read-only; nothing was done, try again.",
            {"refusal", "signature", "vault", "agent", "secret", "key", "generated", "API key"},
        ),
        pytest.param(
            LostPostgres.full,
            "The database's disk is full.",
            "The database's disk is full; nothing was done, try again.",
            # what is small may find room in the pages that are there
            {"secret"},
            marks=pytest.mark.skipif(not has_namespaces(), reason="needs the right to mount in a namespace"),
        ),
    ],
    ids=["read-only", "full"],
)
async def test_what_takes_no_writes_is_said_by_whoever_meets_it(
    running: Running,
    world: World,
    postgres: LostPostgres,
    payments: Payments,
    trouble: Callable[[LostPostgres], AbstractContextManager[None]],
    reason: str,
    detail: str,
    refused: set[str],
) -> None:
    before = {name: running.pids(name) for name in running.process_names()}
    agent, wallet = await world.agent(tx_daily_limit_eth="5"), await world.wallet()
    with trouble(postgres):
        # by looking, not by meeting it
        await says(running, reason)
        for _ in range(3):
            answers = await everything(world, agent, wallet)
            said = {name: (answer.status_code, answer.text[:200]) for name, answer in answers.items()}
            assert not [
                name
                for name, answer in answers.items()
                if answer.status_code not in range(200, 500) and answer.status_code != 503
            ], said
            unavailable = {name for name, answer in answers.items() if answer.status_code == 503}
            assert refused <= unavailable, said
            for name in unavailable:
                assert answers[name].json()["detail"] == detail, said
                assert int(answers[name].headers["Retry-After"]) > 0
        await asyncio.gather(*(payments.submit(number) for number in range(2, PAYMENTS)))
        assert await reasons(running) == [reason]
    await until(running.stays_healthy, 60, "health")
    assert {name: running.pids(name) for name in before} == before
