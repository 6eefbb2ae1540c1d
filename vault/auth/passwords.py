"""Argon2id for passwords (RFC 9106), on a few threads with a bounded queue.

One hash takes about 50 ms and 64 MiB, so an unbounded number of logins would take all memory and all cores
from the signing path; whoever finds the queue full gets 503 and may try again.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vault.errors import unavailable

CONCURRENT_HASHES = 2
MAX_WAITING = 32

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=CONCURRENT_HASHES, thread_name_prefix="argon2")
_in_flight = 0

_Result = TypeVar("_Result")

# Verified against when there is no such account, so that the answer takes as long as for a wrong password.
_NOBODY = _hasher.hash("no account has this password")


async def hash_password(password: str) -> str:
    """The password's hash in PHC form; Problem 503 when too many wait."""
    return await _bounded(lambda: _hasher.hash(password))


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one; the same work is done when nothing is stored (always False)."""
    matched = await _bounded(lambda: _verify(stored or _NOBODY, password))
    return matched and stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def _bounded(work: Callable[[], _Result]) -> _Result:
    global _in_flight  # noqa: PLW0603 - one queue per process is the point
    if _in_flight >= CONCURRENT_HASHES + MAX_WAITING:
        raise unavailable("Too many logins at the moment")
    _in_flight += 1
    task = asyncio.get_running_loop().run_in_executor(_threads, work)
    # The thread goes on when its caller goes away: the place is free when the work is done, not before.
    task.add_done_callback(_done)
    return await asyncio.shield(task)


def _done(task: "asyncio.Future[_Result]") -> None:
    global _in_flight  # noqa: PLW0603 - see above
    _in_flight -= 1
    if not task.cancelled():
        task.exception()  # retrieved here too, in case the caller has gone
