"""Guessing passwords from many addresses at once, against two API processes."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import psycopg

from tests.support.instance import Running
from tests.support.report import LINES
from vault.auth.lockout import FREE_OF_STRANGERS, strangers

AT_ONCE, LEFT = 40, 15


async def test_many_guesses_at_once_are_a_hundred_an_hour(
    instance: Running, database: psycopg.AsyncConnection
) -> None:
    # nobody's, which is counted like everybody's, and is in no other story's way
    email = f"{uuid4()}@example.com"
    # most of the hundred are used up already: each one costs a slow machine a second
    await database.execute(
        "INSERT INTO lockouts (subject, failures, last_failed_at, locked_until)"
        " VALUES (%s, %s, now(), now() + interval '1 hour')",
        (strangers(email).digest, FREE_OF_STRANGERS - LEFT),
    )
    # through the trusted proxy's address, so that no two guesses come from one client
    told = await guesses(instance, email, [f"198.51.100.{number}" for number in range(AT_ONCE)])
    LINES.append(f"{AT_ONCE} wrong passwords at once, each from elsewhere: {dict(told)}")
    assert told == {"looked at": LEFT, "turned away": AT_ONCE - LEFT}


async def test_many_guesses_at_once_from_one_address_are_few(instance: Running) -> None:
    told = await guesses(instance, f"{uuid4()}@example.com", ["198.51.100.250"] * 50)
    # five, and one more for every second or two that the fifty take
    assert 5 <= told["looked at"] <= 10
    # in the words of every other 429 here: they tell nothing of the account
    assert told["turned away"] == 50 - told["looked at"]


async def guesses(instance: Running, email: str, addresses: list[str]) -> Counter[str]:
    """Wrong passwords from these addresses at once; what became of them."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
    async with httpx.AsyncClient(base_url=instance.base_url, transport=transport, timeout=300) as http:
        return Counter(await asyncio.gather(*(guess(http, email, address) for address in addresses)))


async def guess(http: httpx.AsyncClient, email: str, address: str) -> str:
    """Try a wrong password from an address of its own; what became of it."""
    answer = await http.post(
        "/v1/auth/token",
        json={"email": email, "password": "Wrong-Guess-1"},
        headers={"X-Forwarded-For": address},
    )
    if answer.status_code == 401:
        return "looked at"
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert "a mail with a link" in answer.json()["detail"]
    return "turned away"
