"""A whole start against a token that is not the database's, or whose PIN was changed: it ends with one sentence."""

import asyncio
import os
import re
from pathlib import Path

import httpx
import pytest

from talon.token import init_token
from tests.support.instance import Running, start_instance
from tests.support.pace import patient

SIGNERS = 2


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database has a key, stopped."""
    running = await start_instance(tmp_path_factory.mktemp("token") / "home", {"TALON_ANVIL_PORT": "0"})
    login = {"email": running.admin_email, "password": running.admin_password}
    async with httpx.AsyncClient(base_url=running.base_url, timeout=60) as http:
        token = (await http.post("/v1/auth/token", json=login)).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        vault = (await http.post("/v1/vaults", json={"name": "keys"})).json()["id"]
        made = await http.post(f"/v1/vaults/{vault}/secret-generate/keys/wallet", json={})
        assert made.status_code in (200, 201), made.text
    await running.stop()
    return running.home


async def last_line(home: Path) -> str:
    """What a start on this home says last, once it has ended by itself."""
    for log in logs(home):
        log.unlink()
    running = Running(home, {"TALON_ANVIL_PORT": "0", "TALON_SIGNERS": str(SIGNERS)})
    running.launch()
    assert running.process is not None
    try:
        assert await asyncio.to_thread(running.process.wait, patient(120)) == 1
    finally:
        lines = running.lines
        await running.stop()
    assert not any(line.startswith("ready") for line in lines)
    return lines[-1]


def logs(home: Path) -> list[Path]:
    return list(home.glob("logs/signer-*.log"))


def said_by_signers(home: Path, sentence: str) -> int:
    """How many signers said so, over all their starts."""
    return sum(len(re.findall(re.escape(sentence), log.read_text())) for log in logs(home))


async def test_a_token_that_is_not_the_databases(home: Path) -> None:
    token, aside = home / "token", home.with_name("token-aside")
    token.rename(aside)
    init_token(token)
    line = await last_line(home)
    sentence = "the token has no talon-root-signing-keys-v1, but the database has keys"
    assert re.fullmatch(rf"talon stopped: signer-\d cannot run: {sentence} \(exit status 78\)\n", line), line
    # five times for one of them, which another may overtake once
    assert 5 <= said_by_signers(home, sentence) <= 5 * SIGNERS
    token.rename(home.with_name("token-of-nobody"))
    aside.rename(token)


async def test_a_pin_that_was_changed_is_tried_once_however_many_signers_there_are(home: Path) -> None:
    pin = home / "token" / "pin"
    owner = pin.stat()
    pin.write_text("31415926")
    os.chown(pin, owner.st_uid, owner.st_gid)
    line = await last_line(home)
    sentence = 'the token "talon" does not take the PIN of the PIN file: one of the two was changed'
    assert line == f"talon stopped: {sentence}\n"
    # tokens count wrong PINs and lock: who reads the epoch tried it, and no signer did after him
    assert said_by_signers(home, sentence) == 0
