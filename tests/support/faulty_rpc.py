"""A JSON-RPC proxy that goes wrong on demand, in front of a real node or of none.

    async with FaultyRpc(anvil_url) as rpc:
        client = ChainClient(31337, [rpc.url])
        rpc.mode = Drop()                                        # every request, until `rpc.mode = None`
        rpc.faults["eth_sendRawTransaction"] = Drop(times=1)     # one method, once; goes before `mode`
        ...
        assert rpc.count("eth_sendRawTransaction") == 2

Faults are found per call, in a batch too: `Refuse` and `Answer` replace single answers, the others strike the
whole exchange. Without an upstream, whatever no fault answers gets HTTP 503.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web


@dataclass
class Fault:
    """Strikes `times` exchanges (each call of a batch counts), or all of them when None."""

    times: int | None = field(default=None, kw_only=True)


@dataclass
class Drop(Fault):
    """Close the connection without an answer; `forward` says whether the node gets the request first."""

    forward: bool = True


@dataclass
class Delay(Fault):
    """Answer properly, but only after `seconds`."""

    seconds: float = 1.0


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
        self.calls += [(call["method"], call.get("params")) for call in calls]
        faults = [self._fault(call["method"]) for call in calls]
        for fault in faults:
            if isinstance(fault, Drop | Status | Garbage):
                if fault.forward:
                    await self._forward(calls)
                return _strike(request, fault)
        for fault in faults:
            if isinstance(fault, Delay):
                await asyncio.sleep(fault.seconds)
        to_node = [
            call
            for call, fault in zip(calls, faults, strict=True)
            if not isinstance(fault, Answer) and not (isinstance(fault, Refuse) and not fault.forward)
        ]
        if to_node and self.upstream is None:
            return web.Response(status=503)
        from_node = {item["id"]: item for item in await self._forward(to_node)}
        answers = [_made_up(call, fault) or from_node[call["id"]] for call, fault in zip(calls, faults, strict=True)]
        body = answers if isinstance(payload, list) else answers[0]
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    def _fault(self, method: str) -> Fault | None:
        fault = self.faults.get(method) or self.mode
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
