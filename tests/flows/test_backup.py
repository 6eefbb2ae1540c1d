"""The worst day, by `talon backup` and `talon restore`: nothing is spent, nobody comes in with what was ended since.

The commands are run as people run them. What the chain shows is counted and opened in `test_restore_story`.
"""

import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyrage
import pytest
from psycopg import sql

from talon.backup.envelope import Key, opening
from talon.bootstrap import ROOT
from tests.support.instance import UNHURRIED, Running
from tests.support.outside import born_wallet, external_chain
from tests.support.world import SOAK, Agent, Chain, Wallet, World, address, until

PASSWORD = "of one and the same human"
SESSION = {"email": "admin@talon.local", "password": PASSWORD}
KILLS = 20 if SOAK else 2
UNTOUCHED = "Nothing was changed."
# tables in which a row lets somebody in, or is on its way to
LETS_IN = ("web_sessions", "device_codes", "mfa_challenges", "known_places", "email_tokens")


def environment_of(running: Running, home: Path | None = None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALON_")}
    own = {"TALON_HOME": str(home or running.home), "TALON_EPOCH_DIRECTORY": "off"}
    return {**inherited, **own, **running.environment}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "talon.cli", *map(str, arguments)]


async def talon(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Talon's own children die with the thread that started them, so it has to be a process of its own
    return await asyncio.to_thread(
        subprocess.run, command(*arguments), env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


async def refused(environment: dict[str, str], sentence: str, *arguments: str | Path) -> None:
    done = await talon(environment, *arguments)
    assert done.returncode == 1, done.stdout
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


async def start(running: Running) -> World:
    running.launch()
    await asyncio.to_thread(running.wait_ready)
    return await World.of(running)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with external_chain(8453) as url:
        yield url


@pytest.fixture
async def chain(url: str) -> AsyncIterator[Chain]:
    chain = Chain(url)
    yield chain
    await chain.close()


class Credentials:
    """One of each kind that is issued, from before the back-up."""

    def __init__(self, world: World, agent: Agent) -> None:
        self.world, self.agent = world, agent
        self.tokens: dict[str, str] = {}
        self.cookies = httpx.Cookies()

    async def issue(self) -> None:
        http, world = self.world.http, self.world
        person = await http.post("/v1/auth/token", json=SESSION)
        robot = await http.post("/v1/auth/agent-token", json={"api_key": self.agent.key})
        of_key = await http.post("/v1/auth/api-key-token", json={"api_key": world.token})
        self.tokens = {
            "a person's token": person.json()["access_token"],
            "a token of a person's key": of_key.json()["access_token"],
            "a person's key": world.token,
            "an agent's token": robot.json()["access_token"],
            "an agent's key": self.agent.key,
        }
        await world.post("/v1/agents", {"name": "by certificate", "auth_method": "mtls",
                                        "client_cert_fingerprint": "ab" * 32})  # fmt: skip
        await world.post("/v1/org/invite", {"email": "somebody@example.com", "role": "member"}, status=200)
        begun = await http.post("/v1/auth/device/code", json={"client_id": "cli"})
        assert begun.status_code == 200, begun.text
        async with httpx.AsyncClient(base_url=str(http.base_url)) as browser:
            form = await browser.get("/login")
            fields = dict(re.findall(r'name="(csrf[^"]*)"[^>]*value="([^"]*)"', form.text))
            done = await browser.post("/login", data={**SESSION, **fields}, headers={"Origin": str(http.base_url)})
            assert done.status_code == 303, done.text
            self.cookies = browser.cookies

    async def counting(self) -> set[str]:
        """Which of them let somebody in."""
        found = set()
        for name, token in self.tokens.items():
            path = "/v1/agents/me" if "agent" in name else "/v1/vaults"
            answer = await self.world.http.get(path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code in (200, 401), answer.text
            if answer.status_code == 200:
                found.add(name)
        async with httpx.AsyncClient(base_url=str(self.world.http.base_url), cookies=self.cookies) as browser:
            if (await browser.get("/")).status_code == 200:
                found.add("a browser's session")
        return found


async def pay(agent: Agent, wallet: Wallet, value: str, **more: Any) -> httpx.Response:
    return await agent.submit(wallet, address(), value, chain="base", gas_limit=21_000, **more)


async def paid(agent: Agent, wallet: Wallet, value: str) -> None:
    sent = await pay(agent, wallet, value)
    assert sent.status_code == 201, sent.text
    assert (await agent.mined(sent.json()["id"]))["receipt"]["status"] == "success"


async def test_a_restored_copy_pays_nothing_and_lets_nobody_in_with_what_was_ended(
    url: str, chain: Chain, tmp_path: Path
) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"# of the test\n{identity}\n")
    (tmp_path / "another").write_text(f"{pyrage.x25519.Identity.generate()}\n")
    file, opens = tmp_path / "file", ("--identity", tmp_path / "identity")
    running = Running(tmp_path / "home", UNHURRIED | {"TALON_RPC_8453": url}, admin_password=PASSWORD)
    environment = environment_of(running)
    world = await start(running)
    agent, wallet = await world.agent(tx_daily_limit_eth="2"), await born_wallet(world, chain)
    credentials = Credentials(world, agent)
    await credentials.issue()
    everything = {*credentials.tokens, "a browser's session"}
    assert await credentials.counting() == everything
    await paid(agent, wallet, "0.6")

    # 1. of a running instance, which goes on meanwhile
    done = await talon(environment, "backup", file, "--recipient", str(identity.to_public()))
    assert done.returncode == 0, done.stderr
    assert "at epoch" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    await refused(environment, "is there already", "backup", file, "--recipient", str(identity.to_public()))
    await refused(environment, "no age public key", "backup", tmp_path / "no", "--recipient", "age1nobody")
    await refused(environment, "stop it first. " + UNTOUCHED, "restore", file, *opens, "--replace")

    # 2. what comes after it: two payments, and a key that was rotated because it had leaked
    await paid(agent, wallet, "0.8")
    rotated = await world.post(f"/v1/agents/{agent.id}/rotate-key", None, status=200)
    assert "an agent's key" not in await credentials.counting()
    newer = Agent(agent.id, world.http, rotated["api_key"])
    await paid(newer, wallet, "0.5")
    await world.close()
    await running.stop()
    spent = await chain.nonce(wallet.address)

    # 3. each wrong way is told apart, and the home stays as it is
    was = contents(running.home)
    await wrong_ways(environment, running, file, opens, tmp_path)
    await killed(environment, running, file, opens)
    assert was == contents(running.home)

    # 4. restored: frozen, and the key that was rotated away counts until it is ended
    done = await talon(environment, "restore", file, *opens, "--replace")
    assert done.returncode == 0, done.stderr
    aside = kept_of(running.home)
    assert contents(aside) == was
    assert "frozen: nothing is signed" in done.stdout
    await refused(environment, "is not empty", "restore", file, *opens)

    world = await start(running)
    credentials.world, agent.http, newer.http = world, world.http, world.http
    assert await credentials.counting() == everything
    for more in ({}, {"idempotency_key": "again"}):
        answer = await pay(agent, wallet, "0.8", **more)
        assert (answer.status_code, answer.json()["type"]) == (503, "restored_copy"), answer.text
        assert "restored from a back-up of" in answer.json()["detail"]
    assert (await world.http.get("/v1/health")).json()["notes"][0].startswith("Frozen")
    await ended(running, world, credentials)

    # 5. the wallet is what it was, and its human comes back in; nothing has been signed all the while
    world = await World.of(running)
    rotated = await world.post(f"/v1/agents/{agent.id}/rotate-key", None, status=200)
    newest = Agent(agent.id, world.http, rotated["api_key"])
    assert (await pay(newest, wallet, "0.1")).status_code == 503
    assert await chain.nonce(wallet.address, "pending") == spent
    await opened(world)
    assert (await pay(newest, wallet, "0.2")).status_code == 403
    await paid(newest, wallet, "0.1")
    await world.close()
    await running.stop()
    shutil.rmtree(aside)


async def ended(running: Running, world: World, credentials: Credentials) -> None:
    """End them, and look for what was forgotten: with each of them, and in the tables."""
    answer = await world.http.post("/v1/admin/restore/end-credentials", headers=credentials.agent.headers)
    assert answer.status_code == 403, answer.text
    told = await world.post("/v1/admin/restore/end-credentials", None, status=200)
    assert told["agents"] >= 2
    assert told["api_keys"] >= 1
    assert told["mailed_links"] >= 1
    assert await credentials.counting() == set()
    assert (await world.http.get("/v1/admin/restore", headers=world.headers)).status_code == 401
    async with await psycopg.AsyncConnection.connect(running.owner_dsn) as database:
        for table in LETS_IN:
            found = await database.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(table)))
            assert await found.fetchall() == [], table
        held = await database.execute(
            "SELECT 1 FROM agents WHERE key_hash IS NOT NULL OR key_prefix IS NOT NULL"
            " OR client_cert_fingerprint IS NOT NULL OR oidc_client_id IS NOT NULL"
        )
        assert await held.fetchall() == []
        live = await database.execute("SELECT 1 FROM api_keys WHERE revoked_at IS NULL")
        assert await live.fetchall() == []
        audited = await database.execute("SELECT 1 FROM audit_events WHERE action = 'restore.end_credentials'")
        assert len(await audited.fetchall()) >= 1
        when = await database.execute("SELECT credentials_ended_at IS NOT NULL FROM restores")
        assert await when.fetchall() == [(True,)]
    await world.close()


async def opened(world: World) -> None:
    async def listed() -> bool:
        return "listed_at" in (await world.http.get("/v1/admin/restore", headers=world.headers)).json()

    await until(listed, what="the list")
    await world.post("/v1/admin/restore/count", {}, status=200)
    await world.post("/v1/admin/restore/open", None, status=200)


async def wrong_ways(
    environment: dict[str, str], running: Running, file: Path, opens: tuple[Any, ...], directory: Path
) -> None:
    other = beside(file, directory)
    damaged = "cut short or damaged. " + UNTOUCHED
    cases: list[tuple[str, dict[str, str], tuple[Any, ...]]] = [
        (damaged, environment, ("restore", directory / "half", *opens, "--replace")),
        ("home of another instance", environment_of(running, other), ("restore", file, *opens, "--replace")),
        ("brings its token along", {**environment, "TALON_PKCS11_MODULE": "/bin/true", "TALON_PKCS11_TOKEN": "x",
         "TALON_PKCS11_PIN_FILE": str(file)}, ("restore", file, *opens, "--replace")),
        ("is not empty", environment, ("restore", file, *opens)),
        ("none of these keys", environment, ("restore", file, "--identity", directory / "another", "--replace")),
        ("name the file with its secret half", environment, ("restore", file, "--replace")),
        ("no back-up of Talon's", environment, ("restore", directory / "identity", *opens, "--replace")),
    ]  # fmt: skip
    # the rest of them is tried on the file alone in tests/talon/test_backup.py
    for sentence, with_environment, arguments in cases if SOAK else cases[:3]:
        await refused(with_environment, sentence, *arguments)
    assert not any(name.endswith(".restoring") for name in contents(directory)[1])


def beside(file: Path, directory: Path) -> Path:
    """Half of the file, and the home of another instance, which is returned."""
    whole = file.read_bytes()
    (directory / "half").write_bytes(whole[: len(whole) // 2])
    other = directory / "other"
    other.mkdir()
    (other / "instance.json").write_text(json.dumps({"id": "7f4f1c0e-0000-4000-8000-000000000000"}))
    (other / "lock").touch()
    return other


def contents(home: Path) -> tuple[int, list[str]]:
    return home.stat().st_ino, sorted(path.name for path in home.iterdir())


def kept_of(home: Path) -> Path:
    (aside,) = home.parent.glob(f"{home.name}.replaced-*")
    return aside


async def killed(environment: dict[str, str], running: Running, file: Path, opens: tuple[Any, ...]) -> None:
    """Whenever a restore or a back-up ends, the old home is there, and no file that looks whole."""
    began = time.monotonic()
    again = file.with_name("again")
    done = await talon(environment, "backup", again, "--recipient", str(public_of(opens)))
    assert done.returncode == 0, done.stderr
    again.unlink()
    # about as long as either of the two takes here
    longest_s = time.monotonic() - began
    for number in range(KILLS):
        what = (
            command("backup", again, "--recipient", public_of(opens))
            if number % 2
            else command("restore", file, *opens, "--replace")
        )
        process = await asyncio.create_subprocess_exec(
            *what, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await asyncio.sleep(random.uniform(0.3, 0.8) * longest_s)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.returncode == 0 and number % 2 == 0:
            # it was done already: what was there is aside, and takes its place again
            aside = kept_of(running.home)
            shutil.rmtree(running.home)
            aside.rename(running.home)
        if again.exists():
            # done, or killed behind the rename that made it appear: what has its name is whole
            read_whole(again, opens)
            again.unlink()


def read_whole(file: Path, opens: tuple[Any, ...]) -> None:
    """BackupError for one that is cut short."""
    key = Key((Path(opens[1]).read_text().splitlines()[-1],))
    with file.open("rb") as sealed, opening(sealed, key) as plain:
        while plain.read(1 << 20):
            pass


def public_of(opens: tuple[Any, ...]) -> str:
    text = Path(opens[1]).read_text().splitlines()[-1]
    return str(pyrage.x25519.Identity.from_str(text).to_public())
