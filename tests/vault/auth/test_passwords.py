import asyncio
import time

import pytest

from vault.auth import passwords
from vault.auth.origin import Place
from vault.errors import Problem


async def test_a_password_matches_its_own_hash_only() -> None:
    stored = await passwords.hash_password("Correct-Horse-7")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify_password(stored, "Correct-Horse-7")
    assert not await passwords.verify_password(stored, "Correct-Horse-8")
    assert not passwords.needs_rehash(stored)


async def test_an_unknown_account_costs_a_hash_too_and_never_matches() -> None:
    # The text whose hash stands in for a missing account must not open anything either.
    assert not await passwords.verify_password(None, "no account has this password")
    stored = await passwords.hash_password("x")
    assert await _seconds(None) > await _seconds(stored) / 4


async def _seconds(stored: str | None) -> float:
    started = time.perf_counter()
    await passwords.verify_password(stored, "wrong")
    return time.perf_counter() - started


async def test_the_queue_is_bounded_and_empties_again() -> None:
    places = passwords.CONCURRENT_HASHES + passwords.MAX_WAITING_OF_A_PLACE
    answers = await asyncio.gather(
        *(passwords.hash_password("x", Place("crowd")) for _ in range(places + 5)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Problem)]
    assert len(refused) == 5
    assert all(problem.status == 503 and "Retry-After" in problem.headers for problem in refused)
    assert await passwords.hash_password("x")


async def test_a_crowd_at_one_place_keeps_nobody_waiting_at_another() -> None:
    done: list[str] = []

    async def hashed(place: str) -> None:
        await passwords.hash_password("x", Place(place))
        done.append(place)

    crowd = [asyncio.create_task(hashed("crowd")) for _ in range(40)]
    await asyncio.sleep(0)
    await hashed("lone")
    # those at work, and one or two whose turn was before
    assert len(done) <= 2 * passwords.CONCURRENT_HASHES + 1
    await asyncio.gather(*crowd)


async def test_a_caller_that_goes_away_keeps_its_place_until_the_work_is_done() -> None:
    task = asyncio.create_task(passwords.hash_password("x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert passwords._running == 1
    await passwords.hash_password("x")
    await passwords.hash_password("x")
    assert passwords._running == 0


async def test_a_caller_that_goes_away_before_its_turn_costs_nothing() -> None:
    tasks = [asyncio.create_task(passwords.hash_password("x")) for _ in range(30)]
    await asyncio.sleep(0)
    for task in tasks[passwords.CONCURRENT_HASHES :]:
        task.cancel()
    await passwords.hash_password("x")
    assert passwords._running <= 1
    assert all(task.done() for task in tasks)
