"""Argon2id for passwords (RFC 9106), on a few threads with a bounded queue in which every place has its turn.

One hash takes about 50 ms and 64 MiB, so an unbounded number of logins would take all memory and all cores
from the signing path; who finds no room in the queue gets 503 and may try again. Nobody waits for more than one of
another place's at a time.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vault.auth.origin import HERE, Place
from vault.auth.password_form import prepared
from vault.auth.turns import Turns
from vault.errors import unavailable

CONCURRENT_HASHES = 2
MAX_WAITING = 256
MAX_WAITING_OF_A_PLACE = 64

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=CONCURRENT_HASHES, thread_name_prefix="argon2")


class Match(IntEnum):
    """Whether a password is the stored one; true unless `NO`.

    `AS_TYPED`: of an account from before passwords had one Unicode form; to be hashed anew.
    """

    NO = 0
    YES = 1
    AS_TYPED = 2


@dataclass(frozen=True, eq=False)
class _Job:
    """Something to do on a thread, and who waits for it."""

    work: Callable[[], Any]
    result: "asyncio.Future[Any]"


_turns: Turns[_Job] = Turns(most_of_a_place=MAX_WAITING_OF_A_PLACE, most=MAX_WAITING)
_running = 0

_Result = TypeVar("_Result")

# Verified against when there is no such account, so that the answer takes as long as for a wrong password.
_NOBODY = _hasher.hash("no account has this password")


async def hash_password(password: str, place: Place = HERE) -> str:
    """The password's hash in PHC form; Problem 503 when too many wait."""
    return await _in_turn(place, lambda: _hasher.hash(prepared(password)))


async def verify_password(stored: str | None, password: str, place: Place = HERE) -> Match:
    """Whether the password is the stored one; the same work is done when nothing is stored (always `NO`)."""
    matched = await _in_turn(place, lambda: _match(stored or _NOBODY, password))
    return matched if stored is not None else Match.NO


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _match(stored: str, password: str) -> Match:
    form = prepared(password)
    if _verify(stored, form):
        return Match.YES
    # twice the work for an odd form, whether or not there is an account
    return Match.AS_TYPED if form != password and _verify(stored, password) else Match.NO


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def _in_turn(place: Place, work: Callable[[], _Result]) -> _Result:
    job = _Job(work, asyncio.get_running_loop().create_future())
    turned_away = _turns.add(place, job)
    if turned_away is not None and not turned_away.result.done():
        turned_away.result.set_exception(unavailable("Too many logins at the moment"))
    _start()
    result: _Result = await job.result
    return result


def _start() -> None:
    """Have as many at work as may be."""
    global _running  # noqa: PLW0603 - one queue per process is the point
    while _running < CONCURRENT_HASHES and (job := _turns.next()) is not None:
        # whoever has gone away meanwhile costs nothing
        if job.result.done():
            continue
        _running += 1
        task = job.result.get_loop().run_in_executor(_threads, job.work)
        task.add_done_callback(lambda task, job=job: _done(task, job))  # type: ignore[misc]


def _done(task: "asyncio.Future[Any]", job: _Job) -> None:
    # The thread went on when its caller went away: the place is free now that the work is done, not before.
    global _running  # noqa: PLW0603 - see above
    _running -= 1
    fault = None if task.cancelled() else task.exception()
    if not job.result.done():
        if task.cancelled():
            job.result.cancel()
        elif fault is not None:
            job.result.set_exception(fault)
        else:
            job.result.set_result(task.result())
    _start()
