"""One HTTP endpoint of a chain: send a JSON-RPC payload, get JSON back, trust it only on the right chain."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp
import orjson

from chains.errors import BadHex, RpcError, RpcRefused, RpcUnavailable, WrongChain, WrongGenesis
from chains.finality import Finality
from chains.genesis import has_begun_with
from chains.health import Health
from chains.quantities import COUNT_BITS, parse_quantity
from chains.refusals import About, about, refusal_in

log = logging.getLogger(__name__)

FailureT = TypeVar("FailureT", bound=RpcError)

# A node behind a name can be exchanged under us; that is noticed within this time, or at the next lost connection
RECHECK_AFTER_S: Final = 30.0
# How long it is remembered that an endpoint takes few calls at once
REMEMBER_S: Final = 600.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
# Shorter parts of an address are names of networks and versions
_SHORTEST_SECRET: Final = 8


class TransportFailed(RpcError):  # noqa: N818 - as in chains.errors
    """This endpoint gave no usable answer; `delivered` says whether the request may have reached it all the same.

    `http_status` is that of an answer without JSON-RPC, `spoke` says that the node itself said something.
    """

    def __init__(
        self,
        message: str,
        *,
        delivered: bool,
        stale_connection: bool = False,
        http_status: int | None = None,
        spoke: bool = False,
    ) -> None:
        super().__init__(message)
        self.delivered = delivered
        self.stale_connection = stale_connection
        self.http_status = http_status
        self.spoke = spoke


def mask_url(url: str) -> str:
    """Scheme, host and port: keys of providers sit in user info, path and query, and stay out of every message."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(unreadable endpoint)"
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme and parts.hostname else "(unreadable endpoint)"


class Endpoint:
    """A URL with what we know of it: verified when, in use or not, how many calls it takes at once.

    Callers are told of it as `label`, "endpoint 2"; only the log names its host.
    """

    def __init__(self, chain_id: int, url: str, timeout_s: float, label: str = "the endpoint") -> None:
        self.name = mask_url(url)
        self.health = Health(self.name)
        self.label = label
        self.finality = Finality()
        self._secrets = _secrets_of(url)
        self._batch_size: int | None = None
        self._batch_until = 0.0
        self._told: set[str] = set()
        self._chain_id = chain_id
        self._url = url
        self._timeout_s = timeout_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, 3.0))
        self._verified_until = 0.0
        self._genesis_hash: bytes | None = None
        self._verifying = asyncio.Lock()
        # how often it failed, and the error that says how it did the last time
        self._failures = 0
        self._last_failure: Callable[[], RpcError] | None = None

    def place(self) -> int:
        """Whom to ask first: 0 if it answered the last time, 1 if it was never heard, 2 if it is out of use."""
        return 0 if self.health.is_sound else 2 if self.health.is_out else 1

    def is_failing(self) -> bool:
        """Failed, and has not answered since: ask the others first."""
        return self.health.is_out

    @property
    def batch_size(self) -> int | None:
        """How many calls a list may hold; None while no limit is known."""
        return self._batch_size if time.monotonic() < self._batch_until else None

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._batch_size, self._batch_until = size, time.monotonic() + REMEMBER_S
        self._tell("batches", f"takes no more than {size} calls at once")

    def expect(self, genesis_hash: bytes | None) -> None:
        """Take no other chain than the one that began with this block; None while it is not known."""
        if genesis_hash != self._genesis_hash:
            if None not in (genesis_hash, self._genesis_hash):
                # final blocks of another chain
                self.finality.named = 0
            self._genesis_hash = genesis_hash
            self._verified_until = 0.0

    async def exchange(self, session: aiohttp.ClientSession, payload: Any) -> Any:
        """POST a JSON-RPC payload; returns the decoded answer.

        Raises WrongChain, before anything else is sent, when eth_chainId or the first block is not ours;
        TransportFailed for no connection, a timeout, an HTTP error or something that is not JSON.
        """
        await self.verified(session)
        return await self._post(session, payload)

    async def verified(self, session: aiohttp.ClientSession) -> None:
        """Be sure of the chain, asking only when that was long ago; WrongChain, TransportFailed (not delivered)."""
        if time.monotonic() >= self._verified_until:
            await self._verify_together(session)

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
        if (refused := refusal_in(answer)) is not None:
            said = f"{self.label} does not say which chain it serves, but: {self.hide(refused)}"
            raise self._remember(lambda: TransportFailed(said, delivered=False, spoke=True))
        result = answer.get("result") if isinstance(answer, dict) and answer.get("id") == 0 else None
        try:
            chain_id = parse_quantity(result, COUNT_BITS)
        except BadHex:
            raise self.failed("does not say which chain it serves", delivered=False) from None
        if chain_id != self._chain_id:
            message = f"{self.label} serves chain {chain_id} instead of {self._chain_id}; nothing was sent to it"
            raise self._remember(lambda: WrongChain(message))
        expected = self._genesis_hash
        if expected is not None and not await has_begun_with(self, session, expected):
            began = f"{self.label} serves a chain {chain_id} that began with another block than 0x{expected.hex()}"
            raise self._remember(
                lambda: WrongGenesis(f"{began}: it was reset, or is another; nothing was sent to it")
            )
        self._verified_until = time.monotonic() + RECHECK_AFTER_S

    async def ask(self, session: aiohttp.ClientSession, method: str, params: Sequence[Any]) -> Any:
        """The result of one call on whatever chain this is, None for none; TransportFailed as `exchange`."""
        answer = await self._post(session, {"jsonrpc": "2.0", "id": 0, "method": method, "params": list(params)})
        return answer.get("result") if isinstance(answer, dict) and answer.get("id") == 0 else None

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
        refused = refusal_in(answer) is not None
        # Some nodes send JSON-RPC errors with 4xx; these and 5xx are about us or a proxy, not about the request
        if status == 200 or (refused and 400 <= status < 500 and status not in (401, 402, 403, 429)):
            if not isinstance(answer, dict | list):
                raise self.failed("did not answer with JSON-RPC", delivered=True)
            self.health.answered()
            return answer
        raise self.failed(f"answered HTTP {status}", delivered=status not in (401, 402, 403, 429), http_status=status)

    def failed(
        self, what: str, *, delivered: bool, stale_connection: bool = False, http_status: int | None = None
    ) -> TransportFailed:
        """The error to raise when this endpoint gave no usable answer; the others are asked first for a while."""
        # after a lost connection there may be another node behind the same name
        self._verified_until = 0.0
        message = f"{self.label} {what}"
        return self._remember(
            lambda: TransportFailed(
                message, delivered=delivered, stale_connection=stale_connection, http_status=http_status
            )
        )

    def out_of_use(self, error: RpcError) -> None:
        """Ask the others first until it answers again."""
        self.health.failed(f"chain {self._chain_id}, {self.name}: {error}")

    async def probe(self, session: aiohttp.ClientSession) -> None:
        """Find out whether an endpoint out of use is back."""
        self.health.probing(2 * self._timeout_s)
        with suppress(RpcError):
            await self.verify(session)

    def overtaken(self) -> None:
        """Another endpoint, asked later, answered before this one."""
        self.failed("was slower than another endpoint", delivered=True)

    def says(self, refused: RpcRefused, method: str | None = None) -> TransportFailed:
        """The error to raise when the node answered with what is no answer to the call: another is asked for it."""
        whose = about(refused)
        said = f"{self.label} says: {self.hide(refused)}"
        # what a limit or a missing method stopped was not looked at; anything else may have been carried out
        delivered = whose not in (About.ENDPOINT, About.METHOD)
        if whose is About.METHOD and method is not None:
            self._tell(method, f"does not offer {method}: {self.hide(refused)}")
        if whose is About.ENDPOINT:
            return self._remember(lambda: TransportFailed(said, delivered=delivered, spoke=True))
        return TransportFailed(said, delivered=delivered, spoke=True)

    def hide(self, refused: RpcRefused) -> RpcRefused:
        """The refusal without any part of this endpoint's address that may be a key."""
        message, data = refused.message, refused.data
        for secret in self._secrets:
            message = message.replace(secret, "***")
            data = data and data.replace(secret, "***")
        return RpcRefused(refused.code, message, data)

    def _tell(self, kind: str, what: str) -> None:
        """One line in the log, once per kind and not once a call."""
        if kind not in self._told:
            self._told.add(kind)
            log.warning("chain %d: %s %s", self._chain_id, self.name, what)

    def _remember(self, failure: Callable[[], FailureT]) -> FailureT:
        # an error is made anew for everyone: tasks that raise the same one would share its traceback
        self._failures += 1
        self._last_failure = failure
        error = failure()
        if not (isinstance(error, TransportFailed) and error.stale_connection):
            self.out_of_use(error)
        return error


def unavailable(chain_id: int, failures: Sequence[TransportFailed]) -> RpcUnavailable:
    """No endpoint answered the call: each one's reason, without its address."""
    reached = any(failed.spoke for failed in failures)
    reasons = "; ".join(str(failed) for failed in failures) or "no endpoint is configured"
    return RpcUnavailable(f"chain {chain_id} {'gives no answer' if reached else 'cannot be reached'}: {reasons}")


def _secrets_of(url: str) -> tuple[str, ...]:
    """The parts of an address in which providers' keys sit, longest first."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    host = (parts.hostname or "").split(".") if (parts.hostname or "").count(".") > 1 else []
    user = [parts.username or "", parts.password or ""]
    pieces = [*host[:-2], *user, *parts.path.split("/"), *re.split("[&=]", parts.query), parts.fragment]
    return tuple(sorted({each for each in pieces if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True))
