"""Guessing passwords from many addresses at once, against two API processes."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx

from tests.support.instance import Running
from tests.support.report import LINES

AT_ONCE = 50


async def test_many_guesses_at_once_are_few(instance: Running) -> None:
    # through the trusted proxy's address, so that no two guesses come from one client
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
    async with httpx.AsyncClient(base_url=instance.base_url, transport=transport, timeout=60) as http:
        # nobody's, which is counted like everybody's, and is in no other story's way
        email = f"{uuid4()}@example.com"
        told = Counter(await asyncio.gather(*(guess(http, email, number) for number in range(AT_ONCE))))
    LINES.append(f"{AT_ONCE} wrong passwords at once: {dict(told)}")
    # five, and one more for every second or two that the fifty take
    assert 5 <= told["looked at"] <= 10
    assert told["limited"] == 0


async def guess(http: httpx.AsyncClient, email: str, number: int) -> str:
    """Try a wrong password from an address of its own; what became of it."""
    answer = await http.post(
        "/v1/auth/token",
        json={"email": email, "password": f"Wrong-Guess-{number}"},
        headers={"X-Forwarded-For": f"198.51.100.{number}"},
    )
    if answer.status_code == 401:
        return "looked at"
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return "locked" if "failed attempts" in answer.json()["detail"] else "limited"
