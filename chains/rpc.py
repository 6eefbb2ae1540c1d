"""The one JSON-RPC client: batches, failover over several endpoints, nothing said to a node of another chain."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeVar

import aiohttp

from chains.batches import ask_all
from chains.chain import Chain
from chains.endpoint import Endpoint, TransportFailed
from chains.errors import NoEndpoint, RpcRefused, RpcUnavailable, WrongChain
from chains.finality import Finality
from chains.genesis import genesis_of
from chains.hexdata import format_data
from chains.race import first
from chains.refusals import About, about
from chains.replies import result_of
from chains.reverts import clean
from chains.send_errors import SendOutcome, classify
from chains.transactions import transaction_hash

__all__ = ["ChainClient", "ChainClients", "SendOutcome", "SendResult"]

T = TypeVar("T")
Request = tuple[str, Sequence[Any]]

MAX_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of raw bytes, and the node's words where it had any: one line, at most 300 characters."""

    outcome: SendOutcome
    message: str | None = None

    def __post_init__(self) -> None:
        # Untrusted text, which goes on to people and into the database, and PostgreSQL takes no NUL
        if self.message is not None:
            object.__setattr__(self, "message", clean(self.message))


class ChainClient:
    """Speaks to one chain over its endpoints, the first one preferred; `timeout_s` is per endpoint and exchange."""

    def __init__(self, chain_id: int, urls: Sequence[str], timeout_s: float = 5.0) -> None:
        self.chain_id = chain_id
        # named twice, an endpoint still is one witness
        self._endpoints = tuple(
            Endpoint(chain_id, url, timeout_s, f"endpoint {number}")
            for number, url in enumerate(dict.fromkeys(urls), 1)
        )
        beside = tuple(endpoint.finality for endpoint in self._endpoints)
        for finality in beside:
            finality.beside = beside
        self._probes: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._ids = count(1)

    async def call(self, method: str, params: Sequence[Any]) -> Any:
        """The result of one call.

        Raises RpcRefused when a node answers with an error, RpcUnavailable when none answers, WrongChain when
        the only ones that answer serve another chain. An error that is not about the call is asked of the next
        endpoint, and raised only when none answers better.
        """
        request = self._request(method, params)
        kept: list[RpcRefused] = []

        async def ask(endpoint: Endpoint, session: aiohttp.ClientSession) -> Any:
            answer = result_of(endpoint, request["id"], await endpoint.exchange(session, request))
            if isinstance(answer, RpcRefused) and about(answer) is not About.CALL:
                _keep(kept, answer)
                raise endpoint.says(answer, method)
            return answer

        try:
            answer = await self._first(ask)
        except (RpcUnavailable, WrongChain):
            if not kept:
                raise
            answer = kept[-1]
        if isinstance(answer, RpcRefused):
            raise answer
        return answer

    async def batch(self, requests: Sequence[Request]) -> list[Any]:
        """The results of several calls, in order; a refusal stands in its place.

        One exchange with one endpoint where that takes lists and answers all; what it does not answer is asked of
        the next one. Raises RpcUnavailable or WrongChain as `call` does when there is no answer at all.
        """
        return [answer for answer, _ in await self.batch_by(requests)]

    async def batch_by(self, requests: Sequence[Request]) -> list[tuple[Any, Finality]]:
        """As `batch`, each answer with what is remembered of the endpoint that gave it."""
        if not requests:
            return []
        payload = [self._request(method, params) for method, params in requests]
        answers: dict[int, tuple[Any, Finality]] = {}
        refusals: dict[int, tuple[RpcRefused, Finality]] = {}

        async def ask(endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
            if answers and endpoint.is_failing():
                # for the rest alone nobody waits for one that is out of use
                raise TransportFailed(f"{endpoint.label} is out of use", delivered=False)
            said: TransportFailed | None = None
            rest = [request for request in payload if request["id"] not in answers]
            for request_id, answer in (await ask_all(endpoint, session, rest)).items():
                if isinstance(answer, RpcRefused) and about(answer) is not About.CALL:
                    refusals[request_id] = answer, endpoint.finality
                    said = endpoint.says(answer, next(each["method"] for each in rest if each["id"] == request_id))
                else:
                    answers[request_id] = answer, endpoint.finality
            if len(answers) < len(payload):
                raise said or endpoint.failed("left a call unanswered", delivered=True)

        try:
            await self._first(ask)
        except (RpcUnavailable, WrongChain):
            # limits and credentials say nothing about any call
            if not answers and all(about(each) is About.ENDPOINT for each, _ in refusals.values()):
                raise
        return [_one_of(each["id"], answers, refusals) for each in payload]

    async def verify_chain(self) -> None:
        """Check that an endpoint answers and serves our chain; RpcUnavailable or WrongChain."""

        async def ask(endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
            await endpoint.verify(session)

        await self._first(ask)

    async def send_raw(self, raw: bytes) -> SendResult:
        """Hand signed bytes to the chain; never raises RpcError: what is not certain is UNKNOWN.

        The same bytes go to the next endpoint when one gives no answer in a second; sending them twice does no harm.
        A refusal counts only if no other endpoint may have taken them ("nonce too low" may be their own nonce): until
        then the others are asked and waited for.
        """
        expected = format_data(transaction_hash(raw))
        request = self._request("eth_sendRawTransaction", [format_data(raw)])
        # exchanges, finished or not, after which an endpoint may have the bytes
        may_have: set[object] = set()
        doubted: list[SendResult] = []

        async def ask(endpoint: Endpoint, session: aiohttp.ClientSession) -> SendResult:
            await endpoint.verified(session)
            may_have.add(exchange := object())
            try:
                answer = result_of(endpoint, request["id"], await endpoint.exchange(session, request))
                outcome = classify(answer.code, answer.message) if isinstance(answer, RpcRefused) else None
                if outcome is SendOutcome.UNKNOWN:
                    raise endpoint.says(answer, request["method"])
            except TransportFailed as failed:
                if not failed.delivered:
                    may_have.discard(exchange)
                raise
            if outcome is None:
                if isinstance(answer, str) and answer.lower() == expected:
                    return SendResult(SendOutcome.ACCEPTED)
                raise endpoint.failed("answered with another hash than that of the bytes", delivered=True)
            if outcome is SendOutcome.ALREADY_KNOWN:
                # it has them: a refusal that comes in the same moment counts for nothing
                return SendResult(outcome, answer.message)
            may_have.discard(exchange)
            if may_have:
                doubted.append(_doubted(answer.message))
                raise endpoint.says(answer)
            return SendResult(outcome, answer.message)

        try:
            result = await self._first(ask)
        except (RpcUnavailable, WrongChain) as error:
            return doubted[-1] if doubted else SendResult(SendOutcome.UNKNOWN, str(error))
        if may_have and result.outcome in (SendOutcome.REFUSED, SendOutcome.NONCE_TOO_LOW):
            # another one got the bytes in the same moment
            return _doubted(result.message)
        return result

    async def close(self) -> None:
        """Return the connections."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def expect(self, genesis_hash: bytes | None) -> None:
        """Use only endpoints of the chain that began with this block; None: whichever it is."""
        for endpoint in self._endpoints:
            endpoint.expect(genesis_hash)

    async def geneses(self) -> list[bytes | None]:
        """The hash of each endpoint's first block, whatever chain it serves; None where none is named."""
        session = self._open()
        return list(await asyncio.gather(*(genesis_of(endpoint, session) for endpoint in self._endpoints)))

    def each(self) -> tuple["ChainClient", ...]:
        """A client per endpoint, for what every endpoint is to be asked; they share connections with this one."""
        return tuple(_Alone(self, endpoint) for endpoint in self._endpoints)

    @property
    def is_sound(self) -> bool:
        """Whether an endpoint of it has answered the last time it was asked."""
        return any(endpoint.health.is_sound for endpoint in self._endpoints)

    def asked(self) -> Iterator[tuple[int, bool]]:
        """The place (from 1) of each endpoint that was asked anything, and whether it answered the last time."""
        for number, endpoint in enumerate(self._endpoints, 1):
            if endpoint.health.is_sound or endpoint.health.is_out:
                yield number, endpoint.health.is_sound

    @property
    def is_out(self) -> bool:
        """Whether every endpoint of it failed the last time, so that waiting for one is likely in vain."""
        return all(endpoint.is_failing() for endpoint in self._endpoints)

    def overtaken(self) -> None:
        """Others answered, and were not kept waiting for this one any longer."""
        for endpoint in self._endpoints:
            endpoint.overtaken()

    async def _first(self, ask: Callable[[Endpoint, aiohttp.ClientSession], Awaitable[T]]) -> T:
        """The first endpoint's answer, in order of preference; those never heard or out of use are tried on the side.

        So what was never asked is known by the time that the others fail, and a dead one is waited for last.
        """
        session = self._open()
        in_order = sorted(self._endpoints, key=Endpoint.place)
        for endpoint in in_order[1:]:
            if endpoint.health.is_due:
                self._probes.add(task := asyncio.create_task(endpoint.probe(session)))
                task.add_done_callback(self._probes.discard)
        return await first(self.chain_id, in_order, lambda endpoint: ask(endpoint, session))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=30),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}


class _Alone(ChainClient):
    """One endpoint of a client, on that client's connections."""

    def __init__(self, whole: ChainClient, endpoint: Endpoint) -> None:
        super().__init__(whole.chain_id, ())
        self._whole = whole
        self._endpoints = (endpoint,)

    def each(self) -> tuple[ChainClient, ...]:
        # what takes every endpoint's word takes it here too
        return self._whole.each()

    def _open(self) -> aiohttp.ClientSession:
        return self._whole._open()  # noqa: SLF001 - a part of it


class ChainClients:
    """A client per chain, made when first needed; the operator's own endpoints go before the registry's."""

    def __init__(self, urls_by_chain: Mapping[int, Sequence[str]], timeout_s: float = 5.0) -> None:
        self._overrides = {chain_id: tuple(urls) for chain_id, urls in urls_by_chain.items()}
        self._timeout_s = timeout_s
        self._clients: dict[int, tuple[tuple[str, ...], ChainClient]] = {}
        self._retired: list[ChainClient] = []

    def for_chain(self, chain: Chain) -> ChainClient:
        """The client of a chain; RpcUnavailable when nobody has named an endpoint for it."""
        urls = self._urls(chain)
        if not urls:
            raise NoEndpoint(f"no RPC endpoint is configured for chain {chain.name} ({chain.chain_id})")
        known = self._clients.get(chain.chain_id)
        if known is not None and known[0] == urls:
            known[1].expect(chain.genesis_hash)
            return known[1]
        if known is not None:
            # the registry's endpoint was changed; requests may still be under way on the old client
            self._retired.append(known[1])
        client = ChainClient(chain.chain_id, urls, self._timeout_s)
        client.expect(chain.genesis_hash)
        self._clients[chain.chain_id] = (urls, client)
        return client

    def knows(self, chain: Chain) -> bool:
        """Whether anybody has named an endpoint for a chain."""
        return bool(self._urls(chain))

    def _urls(self, chain: Chain) -> tuple[str, ...]:
        return self._overrides.get(chain.chain_id) or ((chain.rpc_url,) if chain.rpc_url else ())

    def endpoints(self) -> Iterator[tuple[int, int, bool]]:
        """Chain id, place (from 1) and whether it answered last time, of every endpoint that was asked anything."""
        for chain_id, (_, client) in sorted(self._clients.items()):
            for number, is_sound in client.asked():
                yield chain_id, number, is_sound

    async def close(self) -> None:
        """Return the connections of all clients."""
        clients = [client for _, client in self._clients.values()] + self._retired
        self._clients, self._retired = {}, []
        for client in clients:
            await client.close()


def _one_of(
    request_id: int, answers: Mapping[int, tuple[Any, Finality]], refusals: Mapping[int, tuple[RpcRefused, Finality]]
) -> tuple[Any, Finality]:
    if request_id in answers:
        return answers[request_id]
    return refusals.get(request_id) or (RpcRefused(0, "the node left this call unanswered"), Finality())


def _doubted(message: str | None) -> SendResult:
    return SendResult(SendOutcome.UNKNOWN, f"no answer at first, then: {message}")


def _keep(kept: list[RpcRefused], refused: RpcRefused) -> None:
    # limits and credentials say nothing about the call: with them alone the chain gives no answer
    if about(refused) is not About.ENDPOINT:
        kept.append(refused)
