"""The counters: in shared storage while it answers, in this process's memory while it does not.

Never an outage, for nobody waits for the storage longer than `PATIENCE_S`; never an open door, for memory counts too.
Times in seconds.
"""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar, cast
from urllib.parse import urlsplit

import structlog
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import FixedWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from vault.db import Database
from vault.limits.names import NAMES, parse_limits
from vault.limits.postgres import PostgresStorage
from vault.metrics import counts
from vault.soon import soon

PATIENCE_S = 0.2
CONNECTIONS = 4
# how long after it failed the storage is tried again, by one request
RETRY_S = 5.0
REDIS_PORT = 6379

log = structlog.get_logger(__name__)

T = TypeVar("T")
Close = Callable[[], Awaitable[None]]


class Counters:
    """The limits of one process. `storage` None: in memory only; `close` gives back what it holds."""

    def __init__(
        self, overrides: Mapping[str, str], storage: Storage | None = None, close: Close | None = None
    ) -> None:
        self._items = parse_limits(overrides)
        self._memory = _limiters(MemoryStorage())
        self._shared = _limiters(storage) if storage is not None else None
        self._close = close
        self._try_again_at = 0.0
        self._down = False

    async def close(self) -> None:
        """Return every connection of our own."""
        if self._close is not None:
            await self._close()

    async def hit(self, name: str, *identifiers: str) -> int | None:
        """Count one; None when that is within the limit, else the whole seconds after which to try again."""
        # of fixed length, and no list of mail addresses in the storage
        digest = hashlib.sha256("\0".join(identifiers).encode()).hexdigest()[:32]
        for item in self._items[name]:
            if not await self._ask(name, lambda limiter, item=item: limiter.hit(item, name, digest)):  # type: ignore[misc]
                return await self._wait(name, item, digest)
        return None

    @property
    def degraded(self) -> bool:
        """Whether this process counts by itself because the storage does not answer."""
        return self._down

    async def _wait(self, name: str, item: RateLimitItem, digest: str) -> int:
        stats = await self._ask(name, lambda limiter: limiter.get_window_stats(item, name, digest))
        return min(max(1, math.ceil(stats.reset_time - time.time())), item.get_expiry() + 1)

    async def _ask(self, name: str, question: Callable[[RateLimiter], Awaitable[T]]) -> T:
        strategy = NAMES[name].strategy
        if self._shared is not None and time.monotonic() >= self._try_again_at:
            if self._down:
                # the others count in memory until this one knows
                self._try_again_at = time.monotonic() + RETRY_S
            try:
                answer = await soon(question(self._shared[strategy]), PATIENCE_S)
            except Exception as error:  # noqa: BLE001 - whatever the storage says, the request goes on
                self._fail(error)
            else:
                self._recover()
                return answer
        return await question(self._memory[strategy])

    def _fail(self, error: Exception) -> None:
        self._try_again_at = time.monotonic() + RETRY_S
        if not self._down:
            self._down = True
            counts.storage_lost()
            log.warning("rate limits count in memory: the storage does not answer", error=type(error).__name__)

    def _recover(self) -> None:
        self._try_again_at = 0.0
        if self._down:
            self._down = False
            log.info("rate limits count in their storage again")


def _limiters(storage: Storage) -> dict[str, RateLimiter]:
    return {"sliding": SlidingWindowCounterRateLimiter(storage), "fixed": FixedWindowRateLimiter(storage)}


def open_counters(
    database: Database, *, overrides: Mapping[str, str], redis_url: str | None, processes: int
) -> Counters:
    """In Redis when there is one, in PostgreSQL when several processes share one budget, else in memory."""
    if redis_url is not None:
        redis = _redis(redis_url)
        return Counters(overrides, redis, cast(Redis, cast(RedispyBridge, redis.bridge).get_connection()).aclose)
    if processes == 1:
        return Counters(overrides)
    patience_ms = int(PATIENCE_S * 1000)
    # connections of its own, so that neither waits for the other
    own = Database(
        database.engine.url.render_as_string(hide_password=False),
        pool_size=CONNECTIONS,
        statement_timeout_ms=patience_ms,
        lock_timeout_ms=patience_ms // 2,
    )
    return Counters(overrides, PostgresStorage(own), own.close)


def _redis(url: str) -> RedisStorage:
    return RedisStorage(
        _as_the_library_wants_it(url),
        implementation="redispy",
        key_prefix="TALON:LIMITS",
        socket_timeout=PATIENCE_S,
        socket_connect_timeout=PATIENCE_S,
        # nobody waits for a second try
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # handed on to the client as it is
    )


def _as_the_library_wants_it(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"async+redis+{url}"
    host = parts.netloc if parts.port is not None else f"{parts.netloc}:{REDIS_PORT}"
    return f"async+{parts._replace(netloc=host).geturl()}"
