"""SIGKILL during rotations: every secret stays readable, and the work ends as if nothing had happened.

The vault's own key is rotated while workers and signers die, the customer's key while API processes die. `make test`
runs a short form in which a dead holder's silence is made up, `make soak` 30 kills of each kind in full length.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from talon.processes import EARLY_KILL_S
from tests.flows.test_crash import alive
from tests.support import leaks
from tests.support.instance import Running, start_instance
from tests.support.report import LINES
from tests.support.world import SOAK, World, until
from tests.vault.cmek.support import Key, headers

KILLS = 30 if SOAK else 2
CUSTOMER_KILLS = 30 if SOAK else 1
# (kind, whether all of that kind)
KEEPERS = [("worker", True), ("signer", True), ("signer", False)]
SERVERS = [("api", True), ("api", False)]
SECRETS = 240 if SOAK else 110
WRITTEN_MEANWHILE = 5
AT_ONCE = 12
# roughly what a rotation of so many takes the worker, undisturbed; an API process is twice as fast
DURATION_S = 0.8 if SOAK else 0.4


@dataclass
class Vault:
    """A vault, and what its owner knows to be in it; `keys` are those that values may be encrypted with."""

    world: World
    id: str
    texts: dict[str, str] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def call(self, method: str, path: str, timeout_s: float = 60, **more: Any) -> httpx.Response:
        """An answer that counts, as a client gets it whose server keeps dying."""

        async def once() -> httpx.Response | None:
            try:
                async with self.slots:
                    url, sent = f"/v1/vaults/{self.id}{path}", self.world.headers | more.get("headers", {})
                    answer = await self.world.http.request(method, url, **more | {"headers": sent})
            except httpx.HTTPError:
                return None
            assert answer.status_code != 500, answer.text
            return None if answer.status_code in (502, 503) else answer

        return await until(once, timeout_s, f"an answer to {method} {path}", every_s=0.1)

    async def put(self, path: str) -> None:
        text = f"text of {path} {uuid4()}"
        value = self.keys[0].encrypt(text) if self.keys else text
        answer = await self.call("PUT", f"/secrets/{path}", json={"value": value})
        assert answer.status_code == 201, answer.text
        self.texts[path] = text

    async def read(self, path: str) -> None:
        answer = await self.call("GET", f"/secrets/{path}")
        assert answer.status_code == 200, answer.text
        value = answer.json()["value"]
        assert self.texts[path] in ([key.decrypts(value) for key in self.keys] if self.keys else [value])

    async def read_all(self) -> None:
        await asyncio.gather(*(self.read(path) for path in self.texts))

    async def fill(self, count: int, folder: str) -> None:
        await asyncio.gather(*(self.put(f"{folder}/{number}") for number in range(count)))


@pytest.fixture(scope="module")
async def mortal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """An instance of its own: the others must not notice the kills."""
    running = await start_instance(
        tmp_path_factory.mktemp("rotations"), {"TALON_WORKERS": "2", "TALON_SIGNERS": "2" if SOAK else "1"}
    )
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture(scope="module")
async def owner(mortal: Running) -> AsyncIterator[World]:
    world = await World.of(mortal)
    yield world
    await world.close()


async def make_vault(world: World) -> Vault:
    return Vault(world, (await world.post("/v1/vaults", {"name": f"rotated {uuid4()}"}))["id"])


async def kill(mortal: Running, victim: tuple[str, bool], rng: random.Random) -> None:
    """SIGKILL one process of a kind, or all of that kind."""
    kind, everyone = victim
    pids = await alive(mortal, kind)
    for pid in pids if everyone else [rng.choice(pids)]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_kills_while_the_vaults_own_key_is_rotated(mortal: Running, owner: World) -> None:
    rng, struck = random.Random(3), 0
    vault = await make_vault(owner)
    await vault.fill(SECRETS, "first")
    for number in range(KILLS):
        started = (await vault.call("POST", "/rotate-key")).json()
        writing = asyncio.create_task(vault.fill(WRITTEN_MEANWHILE, f"meanwhile/{number}"))
        await asyncio.sleep(rng.uniform(0, DURATION_S))
        struck += (await vault.call("GET", f"/rotate-key/{started['id']}")).json()["status"] == "running"
        await kill(mortal, KEEPERS[number % len(KEEPERS)], rng)
        await writing
        await vault.read_all()

        async def completed(rotation_id: str = started["id"]) -> Any:
            shown = (await vault.call("GET", f"/rotate-key/{rotation_id}")).json()
            return shown if shown["status"] == "completed" else None

        # by itself: nobody asks for it again
        done = await until(completed, 60, "the rotation's end")
        assert (done["failed"], done["key_version"]) == (0, number + 2)
        assert done["processed"] >= SECRETS
        # a child that is killed again and again in its first second is taken for one that cannot run
        await asyncio.sleep(EARLY_KILL_S if SOAK else 0)
    await vault.read_all()
    async with await psycopg.AsyncConnection.connect(mortal.owner_dsn) as connection:
        rows = await connection.execute(
            "SELECT DISTINCT substring(v.sealed from 2 for 4) FROM secret_versions v"
            " JOIN secrets s ON s.id = v.secret_id WHERE s.vault_id = %s",
            (vault.id,),
        )
        assert [int.from_bytes(row[0], "big") for row in await rows.fetchall()] == [KILLS + 1]
    LINES.append(f"vault key rotation: {KILLS} kills, {struck} of them struck a running one")


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_kills_while_the_customers_key_is_rotated(mortal: Running, owner: World) -> None:
    rng, struck = random.Random(5), 0
    vault = await make_vault(owner)
    vault.keys = (Key(),)
    used = {vault.keys[0].header}
    answer = await vault.call("POST", "/cmek", json={"fingerprint": vault.keys[0].fingerprint})
    assert answer.status_code == 200, answer.text
    await vault.fill(SECRETS, "first")
    for number in range(CUSTOMER_KILLS):
        old, new = vault.keys[0], Key()
        used.add(new.header)
        vault.keys = (old, new)
        job = await rotate(vault, old, new)
        writing = asyncio.create_task(vault.fill(WRITTEN_MEANWHILE, f"meanwhile/{number}"))
        await asyncio.sleep(rng.uniform(0, DURATION_S / 2))
        struck += (await shown(vault, job["id"]))["status"] == "running"
        await kill(mortal, SERVERS[number % len(SERVERS)], rng)
        await writing
        # in between, each by the one key or the other
        await vault.read_all()
        if not SOAK:
            await call_silent(mortal, vault, job["id"])
        done = await ended(vault, job["id"])
        # what was killed may take its time to come back; the client asks again as long as it is told so
        for _ in range(5):
            if done["status"] != "interrupted":
                break
            assert (await rotate(vault, old, new))["id"] == job["id"]
            done = await ended(vault, job["id"])
        assert (done["status"], done.get("failed")) == ("completed", None)
        # what its client wrote under the old key once the rotation had ended is still under that one
        await asyncio.gather(*(vault.read(path) for path in vault.texts if path.startswith("meanwhile/")))
        vault.texts = {path: text for path, text in vault.texts.items() if not path.startswith("meanwhile/")}
        vault.keys = (new,)
        await vault.read_all()
        await asyncio.sleep(EARLY_KILL_S if SOAK else 0)
    found, _ = leaks.search(used, [*leaks.dump(mortal.owner_dsn), *leaks.logs(mortal.home)])
    assert found == []
    LINES.append(f"customer key rotation: {CUSTOMER_KILLS} kills, {struck} of them struck a running one")


async def rotate(vault: Vault, old: Key, new: Key) -> dict[str, Any]:
    body = {"new_fingerprint": new.fingerprint}
    answer = await vault.call("POST", "/cmek-rotate", json=body, headers=headers(old, new))
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def shown(vault: Vault, job_id: str) -> dict[str, Any]:
    return dict((await vault.call("GET", f"/cmek-rotate/{job_id}")).json())


async def ended(vault: Vault, job_id: str) -> dict[str, Any]:
    """The job once it does not run any more."""

    async def look() -> Any:
        now = await shown(vault, job_id)
        return now if now["status"] != "running" else None

    return dict(await until(look, 60, "the job's end"))


async def call_silent(mortal: Running, vault: Vault, job_id: str) -> None:
    """Make a dead holder's silence longer than it is, once: who goes on with the job is given its time."""
    async with await psycopg.AsyncConnection.connect(mortal.owner_dsn) as connection:
        await connection.execute(
            "UPDATE cmek_rotations SET heartbeat_at = heartbeat_at - interval '15 seconds' WHERE id = %s", (job_id,)
        )
