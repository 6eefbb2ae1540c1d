"""A JSON-RPC proxy that goes wrong on demand, in front of a real node or of none.

    async with FaultyRpc(anvil_url) as rpc:
        client = ChainClient(31337, [rpc.url])
        rpc.mode = Drop()                                        # every request, until `rpc.mode = None`
        rpc.faults["eth_sendRawTransaction"] = Drop(times=1)     # one method, once; goes before `mode`
        ...
        assert rpc.count("eth_sendRawTransaction") == 2

Faults are found per call, in a batch too: `Refuse`, `Answer` and `Change` replace single answers, the others strike
the whole exchange. `rpc.batches` says how lists of calls are treated. Without an upstream, whatever no fault answers
gets HTTP 503. Ways of being odd that real nodes have are rows in `tests.support.odd_node`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

Item = dict[str, Any]


@dataclass
class Fault:
    """Strikes `times` exchanges (each call of a batch counts), or all of them when None.

    With `when`, only calls whose parameters it finds true.
    """

    times: int | None = field(default=None, kw_only=True)
    when: Callable[[Any], bool] | None = field(default=None, kw_only=True)


@dataclass
class Drop(Fault):
    """Close the connection without an answer; `forward` says whether the node gets the request first."""

    forward: bool = True


@dataclass
class Delay(Fault):
    """Answer properly, but only after `seconds`."""

    seconds: float = 1.0


@dataclass
class Hold(Fault):
    """Answer properly, but only once `released` is set."""

    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Status(Fault):
    """Answer with an HTTP status and a body; with `forward`, after the node has had the request."""

    status: int = 502
    body: bytes = b"<html>Bad Gateway</html>"
    forward: bool = False


@dataclass
class Garbage(Fault):
    """HTTP 200 with a body that is not JSON-RPC; with `forward`, after the node has had the request."""

    body: bytes = b'{"jsonrpc": "2.0", "id": 1, "resu'
    forward: bool = False


@dataclass
class Refuse(Fault):
    """A JSON-RPC error instead of the node's answer; with `forward`, after the node has had the call."""

    code: int = -32000
    message: str = "refused"
    data: Any = None
    forward: bool = False


@dataclass
class Answer(Fault):
    """A result instead of the node's: a wrong chain id, a stale head, a null receipt."""

    result: Any = None


@dataclass
class Change(Fault):
    """The node's own answer (the whole item: `result` or `error` and all) as `how` changes it."""

    how: Callable[[Item], Item] = lambda item: item


@dataclass
class Batches:
    """Lists of more than `most` calls are not taken (0: none at all).

    `refusal` says how: one error object for the whole, the same error in place of every answer (`each`), one error
    in a list (`listed`), or an HTTP status.
    """

    most: int
    refusal: Refuse | Status = field(default_factory=lambda: Refuse(-32600, "batch limit exceeded"))
    each: bool = False
    listed: bool = False


def wrong_chain(chain_id: int = 1) -> dict[str, Fault]:
    """Faults of an endpoint that serves another chain: `rpc.faults |= wrong_chain(1)`."""
    return {"eth_chainId": Answer(hex(chain_id))}


def no_simulation() -> dict[str, Fault]:
    """Faults of a node without eth_simulateV1."""
    return {"eth_simulateV1": Refuse(-32601, "the method eth_simulateV1 does not exist/is not available")}


class FaultyRpc:
    """Listens on a free port of 127.0.0.1 between `async with` and its end; may be given a `port`."""

    def __init__(self, upstream: str | None = None, port: int = 0) -> None:
        self.upstream = upstream
        self.mode: Fault | None = None
        self.faults: dict[str, Fault] = {}
        self.batches: Batches | None = None
        # how many calls each exchange held; 0 for a call that was not in a list
        self.sizes: list[int] = []
        self.calls: list[tuple[str, Any]] = []
        self.exchanges = 0
        self._port = port
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens; known inside `async with`."""
        assert self._url, "not started"
        return self._url

    def count(self, method: str) -> int:
        """How often a method was called, whatever became of it."""
        return sum(1 for called, _ in self.calls if called == method)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{tail:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        assert site._server is not None
        self._url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]  # aiohttp keeps it private
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _serve(self, request: web.Request) -> web.Response:
        payload = orjson.loads(await request.read())
        calls = payload if isinstance(payload, list) else [payload]
        self.exchanges += 1
        self.sizes.append(len(payload) if isinstance(payload, list) else 0)
        self.calls += [(call["method"], call.get("params")) for call in calls]
        if self.batches is not None and isinstance(payload, list) and len(payload) > self.batches.most:
            return _too_many(self.batches, payload)
        faults = [self._fault(call) for call in calls]
        for fault in faults:
            if isinstance(fault, Drop | Status | Garbage):
                if fault.forward:
                    await self._forward(calls)
                return _strike(request, fault)
        for fault in faults:
            if isinstance(fault, Delay):
                await asyncio.sleep(fault.seconds)
            elif isinstance(fault, Hold):
                await fault.released.wait()
        to_node = [
            call
            for call, fault in zip(calls, faults, strict=True)
            if not isinstance(fault, Answer) and not (isinstance(fault, Refuse) and not fault.forward)
        ]
        if to_node and self.upstream is None:
            return web.Response(status=503)
        from_node = {item["id"]: item for item in await self._forward(to_node)}
        answers = [
            _made_up(call, fault) or _changed(from_node[call["id"]], fault)
            for call, fault in zip(calls, faults, strict=True)
        ]
        body = answers if isinstance(payload, list) else answers[0]
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    def _fault(self, call: Mapping[str, Any]) -> Fault | None:
        fault = self.faults.get(call["method"]) or self.mode
        if fault is not None and fault.when is not None and not fault.when(call.get("params")):
            return None
        if fault is None or fault.times is None:
            return fault
        if fault.times == 0:
            return None
        fault.times -= 1
        return fault

    async def _forward(self, calls: list[Any]) -> list[Mapping[str, Any]]:
        if not calls or self.upstream is None:
            return []
        async with self._session.post(self.upstream, data=orjson.dumps(calls), headers=_JSON) as response:
            answered: list[Mapping[str, Any]] = orjson.loads(await response.read())
            return answered


_JSON = {"Content-Type": "application/json"}


def _strike(request: web.Request, fault: Drop | Status | Garbage) -> web.Response:
    if isinstance(fault, Status):
        return web.Response(status=fault.status, body=fault.body)
    if isinstance(fault, Garbage):
        return web.Response(body=fault.body, content_type="application/json")
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _made_up(call: Mapping[str, Any], fault: Fault | None) -> dict[str, Any] | None:
    head = {"jsonrpc": "2.0", "id": call["id"]}
    if isinstance(fault, Answer):
        return head | {"result": fault.result}
    if isinstance(fault, Refuse):
        error = {"code": fault.code, "message": fault.message}
        return head | {"error": error if fault.data is None else error | {"data": fault.data}}
    return None


def _changed(item: Mapping[str, Any], fault: Fault | None) -> dict[str, Any]:
    return fault.how(dict(item)) if isinstance(fault, Change) else dict(item)


def _too_many(batches: Batches, calls: list[Any]) -> web.Response:
    if isinstance(batches.refusal, Status):
        return web.Response(status=batches.refusal.status, body=batches.refusal.body)
    if batches.each:
        answer: Any = [_made_up(call, batches.refusal) for call in calls]
    else:
        answer = _made_up({"id": None}, batches.refusal)
        answer = [answer] if batches.listed else answer
    return web.Response(body=orjson.dumps(answer), content_type="application/json")
