"""One HTTP endpoint of a chain: send a JSON-RPC payload, get JSON back, trust it only on the right chain."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp
import orjson

from chains.errors import BadHex, RpcError, RpcUnavailable, WrongChain
from chains.health import Health
from chains.quantities import COUNT_BITS, parse_quantity

FailureT = TypeVar("FailureT", bound=RpcError)

# A node behind a name can be exchanged under us; that is noticed within this time, or at the next lost connection
RECHECK_AFTER_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024


class TransportFailed(RpcError):  # noqa: N818 - as in chains.errors
    """This endpoint gave no usable answer; `delivered` says whether the request may have reached it all the same."""

    def __init__(self, message: str, *, delivered: bool, stale_connection: bool = False) -> None:
        super().__init__(message)
        self.delivered = delivered
        self.stale_connection = stale_connection


def mask_url(url: str) -> str:
    """Scheme, host and port: keys of providers sit in user info, path and query, and stay out of every message."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable endpoint)"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else "(unreadable endpoint)"


class Endpoint:
    """A URL with what we know of it: verified when, in use or not."""

    def __init__(self, chain_id: int, url: str, timeout_s: float) -> None:
        self.name = mask_url(url)
        self.health = Health(self.name)
        self._chain_id = chain_id
        self._url = url
        self._timeout_s = timeout_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 3.0))
        self._verified_until = 0.0
        self._verifying = asyncio.Lock()
        # how often it failed, and the error that says how it did the last time
        self._failures = 0
        self._last_failure: Callable[[], RpcError] | None = None

    def is_failing(self) -> bool:
        """Failed, and has not answered since: ask the others first."""
        return self.health.is_out

    async def exchange(self, session: aiohttp.ClientSession, payload: Any) -> Any:
        """POST a JSON-RPC payload; returns the decoded answer.

        Raises WrongChain, before anything else is sent, when eth_chainId is not ours; TransportFailed for no
        connection, a timeout, an HTTP error or something that is not JSON.
        """
        if time.monotonic() >= self._verified_until:
            await self._verify_together(session)
        return await self._post(session, payload)

    async def verify(self, session: aiohttp.ClientSession) -> None:
        """Ask for eth_chainId now, or wait for who is asking; WrongChain or TransportFailed."""
        self._verified_until = 0.0
        await self._verify_together(session)

    async def _verify_together(self, session: aiohttp.ClientSession) -> None:
        """One asks, the others take over what came of it, at the latest when their own time is up."""
        failures = self._failures
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._verifying.acquire()
        except TimeoutError:
            raise self.failed("did not say in time which chain it serves", delivered=False) from None
        try:
            if time.monotonic() < self._verified_until:
                return
            if self._failures != failures and self._last_failure is not None:
                # Asking it again, one after the other, would cost each caller one time-out more than the one before
                raise self._last_failure()
            await self._verify(session)
        except TransportFailed as failed:
            # only the question for the chain's id was on the wire
            failed.delivered = False
            raise
        finally:
            self._verifying.release()

    async def _verify(self, session: aiohttp.ClientSession) -> None:
        self._verified_until = 0.0
        request = {"jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": []}
        answer = await self._post(session, request)
        result = answer.get("result") if isinstance(answer, dict) and answer.get("id") == 0 else None
        try:
            chain_id = parse_quantity(result, COUNT_BITS)
        except BadHex:
            raise self.failed("does not say which chain it serves", delivered=False) from None
        if chain_id != self._chain_id:
            message = f"{self.name} serves chain {chain_id} instead of {self._chain_id}; nothing was sent to it"
            raise self._remember(lambda: WrongChain(message))
        self._verified_until = time.monotonic() + RECHECK_AFTER_S

    async def _post(self, session: aiohttp.ClientSession, payload: Any) -> Any:
        # Exceptions of the HTTP library may carry the URL, so they are named by their type alone (`from None`)
        try:
            async with session.post(
                self._url,
                data=orjson.dumps(payload),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout,
                # a redirect would lead to an endpoint that nobody configured or verified
                allow_redirects=False,
            ) as response:
                status = response.status
                body = await self._read(response)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.ConnectionTimeoutError) as error:
            raise self.failed(f"cannot be connected to ({type(error).__name__})", delivered=False) from None
        except (aiohttp.ServerDisconnectedError, ConnectionResetError, aiohttp.ClientOSError) as error:
            raise self.failed(
                f"closed the connection ({type(error).__name__})", delivered=True, stale_connection=True
            ) from None
        except TimeoutError:
            raise self.failed("did not answer in time", delivered=True) from None
        except (aiohttp.ClientError, ValueError) as error:
            raise self.failed(f"did not answer properly ({type(error).__name__})", delivered=True) from None
        return self._decode(status, body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        # most answers are a few hundred bytes and arrive in one piece
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise ValueError("the answer is too large")
            chunks.append(chunk)
        return b"".join(chunks)

    def _decode(self, status: int, body: bytes) -> Any:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        refused = isinstance(answer, dict) and isinstance(answer.get("error"), dict)
        # Some nodes send JSON-RPC errors with 4xx; 429 and 5xx come from proxies, and say nothing about the request
        if status == 200 or (refused and 400 <= status < 500 and status != 429):
            if not isinstance(answer, dict | list):
                raise self.failed("did not answer with JSON-RPC", delivered=True)
            self.health.answered()
            return answer
        raise self.failed(f"answered HTTP {status}", delivered=True)

    def failed(self, what: str, *, delivered: bool, stale_connection: bool = False) -> TransportFailed:
        """The error to raise when this endpoint gave no usable answer; the others are asked first for a while."""
        # after a lost connection there may be another node behind the same name
        self._verified_until = 0.0
        message = f"{self.name} {what}"
        return self._remember(
            lambda: TransportFailed(message, delivered=delivered, stale_connection=stale_connection)
        )

    def out_of_use(self, error: RpcError) -> None:
        """Ask the others first until it answers again."""
        self.health.failed(f"chain {self._chain_id}: {error}")

    async def probe(self, session: aiohttp.ClientSession) -> None:
        """Find out whether an endpoint out of use is back."""
        self.health.probing(2 * self._timeout_s)
        with suppress(RpcError):
            await self.verify(session)

    def overtaken(self) -> None:
        """Another endpoint, asked later, answered before this one."""
        self.failed("was slower than another endpoint", delivered=True)

    def _remember(self, failure: Callable[[], FailureT]) -> FailureT:
        # an error is made anew for everyone: tasks that raise the same one would share its traceback
        self._failures += 1
        self._last_failure = failure
        error = failure()
        if not (isinstance(error, TransportFailed) and error.stale_connection):
            self.out_of_use(error)
        return error


def unavailable(chain_id: int, reasons: list[str]) -> RpcUnavailable:
    """All endpoints failed: each one's reason, masked."""
    return RpcUnavailable(f"chain {chain_id} cannot be reached: {'; '.join(reasons) or 'no endpoint is configured'}")
