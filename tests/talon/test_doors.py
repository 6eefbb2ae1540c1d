"""Which connections stay and which go: the keeper alone, and real ones at a real server."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import structlog
import uvicorn
from starlette.types import Receive, Scope, Send

from talon import door, doors
from talon.door import Door
from talon.doors import Doorkeeper, Rooms, rooms
from vault.auth.client_address import parse_networks
from vault.auth.recent import Recent
from vault.body_limit import BodyLimit

# longer than any of this takes on a slow machine
PATIENCE_S = 60


class Guest:
    """A connection as the keeper sees it."""

    def __init__(self) -> None:
        self.closed: str | None = None
        self.late: str | None = None

    def overdue(self, now: float) -> str | None:
        return self.late

    def hang_up(self, reason: str) -> None:
        self.closed = reason


class Hall:
    """A keeper with room for ten, three of them for known addresses, four of one unknown address."""

    def __init__(self) -> None:
        self.now = 0.0
        self.recent = Recent()
        proxies = parse_networks(("10.0.0.0/8",))
        self.keeper = Doorkeeper(Rooms(10, 3, 4, 6), self.recent, proxies, clock=lambda: self.now)

    def enter(self, peer: str | None, count: int = 1, *, served: bool = False) -> list[tuple[Guest, bool]]:
        came = []
        for _ in range(count):
            guest = Guest()
            came.append((guest, self.keeper.admit(guest, peer)))
            if served:
                self.keeper.is_served(guest)
        return came


@pytest.fixture
async def hall() -> Hall:
    return Hall()


def fates(came: list[tuple[Guest, bool]]) -> str:
    """For each: in, closed again, or refused."""
    return "".join("-" if not admitted else "x" if guest.closed else "o" for guest, admitted in came)


async def test_the_longest_waiting_of_an_address_gives_way_to_its_next(hall: Hall) -> None:
    silent = hall.enter("203.0.113.1", 6)
    assert fates(silent) == "xxoooo"
    assert fates(hall.enter("203.0.113.2")) == "o"
    assert silent[0][0].closed == "gave_way"


async def test_who_is_served_never_gives_way(hall: Hall) -> None:
    busy = hall.enter("203.0.113.1", 4, served=True)
    assert fates(hall.enter("203.0.113.1")) == "-"
    hall.keeper.waits(busy[2][0])
    assert fates(hall.enter("203.0.113.1")) == "o"
    assert fates(busy) == "ooxo"


async def test_strangers_leave_the_reserve_to_those_we_know(hall: Hall) -> None:
    strangers = [hall.enter(f"203.0.113.{number}", served=True)[0] for number in range(9)]
    assert fates(strangers) == "ooooooo--"
    hall.recent.proved("key", "user:1", "198.51.100.7")
    assert fates(hall.enter("198.51.100.7", 3, served=True)) == "ooo"
    assert fates(hall.enter("198.51.100.7")) == "-"


async def test_two_known_addresses_do_not_fill_the_house() -> None:
    recent = Recent()
    hall = Hall()
    hall.keeper = Doorkeeper(rooms(160, 40, 10_000), recent, parse_networks(("10.0.0.0/8",)))
    for peer in ("203.0.113.1", "203.0.113.2", "203.0.113.3"):
        recent.proved(peer, "user:1", peer)
    came = [each for peer in ("203.0.113.1", "203.0.113.2") for each in hall.enter(peer, 120, served=True)]
    assert fates(came).count("o") == 150
    # nor does what is behind a proxy
    assert fates(hall.enter("10.0.0.1", 20, served=True)) == "o" * 8 + "-" * 12
    assert fates(hall.enter("203.0.113.3", 2)) == "oo"


async def test_waiting_strangers_give_way_to_anybody(hall: Hall) -> None:
    strangers = [hall.enter(f"203.0.113.{number}")[0] for number in range(9)]
    assert fates(strangers) == "xxooooooo"
    hall.recent.proved("key", "user:1", "198.51.100.7")
    assert fates(hall.enter("198.51.100.7", 5)) == "ooooo"
    assert fates(strangers) == "xxxxooooo"


async def test_a_proxy_is_not_held_to_the_bound_of_an_address(hall: Hall) -> None:
    assert fates(hall.enter("10.1.2.3", 10)) == "o" * 10
    # nor is there an end of it
    assert fates(hall.enter("10.1.2.3", served=True)) == "o"


async def test_places_are_given_back(hall: Hall) -> None:
    for _ in range(50):
        for guest, admitted in hall.enter("203.0.113.1", 4, served=True):
            assert admitted
            hall.keeper.left(guest)
            hall.keeper.left(guest)
    assert fates(hall.enter("203.0.113.1", 5)) == "xoooo"


async def test_what_is_overdue_goes_with_one_line_for_all(hall: Hall) -> None:
    with structlog.testing.capture_logs() as lines:
        for number in range(3):
            came = hall.enter("203.0.113.1", 4)
            for guest, _ in came[:3]:
                guest.late = "slow_head"
            hall.keeper.sweep()
            assert fates(came) == "xxxo"
            hall.now += doors.LOG_S if number == 1 else 1
        hall.keeper.sweep()
    assert [line["event"] for line in lines] == ["connections closed by us"] * 2
    assert sum(line["slow_head"] for line in lines) >= 6


def test_rooms_fit_into_what_a_process_may_open() -> None:
    assert rooms(4096, 512, 65_536) == Rooms(4096, 1024, 512, 2048)
    few = rooms(4096, 512, 1024)
    assert (few.most, few.reserve) == (768, 192)
    assert few.of_an_address <= few.most // 2


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Says how long the body was; a large answer at /large."""
    if scope["type"] != "http":
        return
    message = await receive()
    if scope["path"] == "/slow":
        await asyncio.sleep(PATIENCE_S)
    body = b"x" * 20_000_000 if scope["path"] == "/large" else str(len(message.get("body", b""))).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


Connect = Callable[[], Any]


@asynccontextmanager
async def serving(room: Rooms) -> AsyncIterator[Connect]:
    keeper = Doorkeeper(room, Recent())
    config = uvicorn.Config(
        BodyLimit(application),
        port=0,
        http=cast(Any, functools.partial(Door, keeper)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    try:
        yield connect
    finally:
        for writer in opened:
            writer.close()
        server.should_exit = True
        await task


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("HEAD_S", 1.0), ("BODY_GRACE_S", 1.0), ("STUCK_S", 1.0)):
        monkeypatch.setattr(door, name, seconds)
    monkeypatch.setattr(doors, "SWEEP_S", 0.1)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the other side hung up, however it did."""
    came = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while part := await reader.read(65536):
                came += part
    except ConnectionError:
        pass
    return came


async def drip(writer: asyncio.StreamWriter, text: bytes) -> None:
    """A byte at a time, for as long as anybody listens."""
    try:
        for byte in text:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)
    except ConnectionError:
        pass


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"GET / HTTP/1.1\r\n\r\nGET /"]
)
async def test_half_a_head_does_not_stay(quick: None, sent: bytes) -> None:
    async with serving(rooms(100, 100, 10_000)) as connect:
        reader, writer = await connect()
        writer.write(sent)
        if sent.endswith(b"\r\n\r\nGET /"):
            # of a connection that goes on, each request's head has the time again
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
            writer.write(b" ")
        assert await ended(reader) == b""


async def test_a_byte_at_a_time_is_no_way_to_stay(quick: None) -> None:
    async with serving(rooms(100, 100, 10_000)) as connect:
        reader, writer = await connect()
        dripping = asyncio.create_task(drip(writer, b"GET / HTTP/1.1\r\nHost: " + b"x" * 10_000))
        assert await ended(reader) == b""
        dripping.cancel()
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n")
        dripping = asyncio.create_task(drip(writer, b"x" * 10_000))
        answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 408
        dripping.cancel()


async def test_who_does_not_read_his_answer_is_hung_up_on(quick: None) -> None:
    async with serving(rooms(100, 100, 10_000)) as connect:
        _, writer = await connect()
        writer.transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        # what the other side has ended can be seen without reading only by what comes of writing
        async with asyncio.timeout(PATIENCE_S):
            try:
                while not writer.is_closing():
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.1)
            except ConnectionError:
                pass
        writer.transport.abort()


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /slow HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000,
        b"GET /" + b"x" * 200_000,
        b"GET / HTTP/1.1\r\n\r\n" * 2_000,
    ],
)
async def test_heads_without_end_and_requests_in_advance_are_bounded(flood: bytes) -> None:
    async with serving(rooms(100, 100, 10_000)) as connect:
        reader, writer = await connect()
        writer.write(flood)
        answered = (await ended(reader)).count(b"HTTP/1.1 200")
        assert answered <= door.MAX_PIPELINED + 1


async def test_what_is_no_http_is_one_line_for_all(caplog: pytest.LogCaptureFixture) -> None:
    door.quieten()
    with structlog.testing.capture_logs() as lines:
        async with serving(rooms(100, 100, 10_000)) as connect:
            for _ in range(20):
                reader, writer = await connect()
                writer.write(b"\x16\x03\x01\x00\xa5 hello\r\n\r\n")
                assert (await ended(reader)).startswith(b"HTTP/1.1 400")
    assert [(line["event"], line["not_http"]) for line in lines] == [("connections closed by us", 1)]
    assert not [record for record in caplog.records if record.name == "uvicorn.error" and record.levelname != "INFO"]


async def test_in_a_crowd_of_silent_ones_whoever_asks_is_answered() -> None:
    async with serving(Rooms(64, 16, 32, 48)) as connect:
        silent = [await connect() for _ in range(200)]
        for number in range(20):
            reader, writer = await connect()
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n123")
            answer = await ended(reader)
            assert answer.startswith(b"HTTP/1.1 200"), number
            assert answer.endswith(b"\r\n\r\n3")
        # those that came last are still there
        reader, writer = silent[-1]
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await ended(reader)).startswith(b"HTTP/1.1 200")
