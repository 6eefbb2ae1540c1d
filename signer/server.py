"""The signer's socket: who may connect, which request goes first, and what an answer looks like.

Everything runs on this one thread, because the PKCS#11 module must never see a second one: requests that need one
call of the HSM are answered as they arrive, transactions are signed in batches, and all others follow one after the
other, each waiting for the signatures at hand.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from signer.config import SignerConfig
from signer.errors import ProtocolError, SignerError
from signer.operations import IMMEDIATE, QUEUED, SIGN, Args, Operations, signed_answer, signing_request
from signer.protocol import VERSION, encode_frame, error_to_answer, message_of, read_frame
from signer.sign import MAX_BATCH, Outcome, Request, Signed

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 256
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
REQUEST_OVERHEAD_BYTES: Final = 4096
WRITE_TIMEOUT_S: Final = 10.0
# the longest that a stream of signatures may hold up one other request
MAX_COURTESY_S: Final = 0.05
# how long after a rotation another signer goes on with the key before
JWT_REFRESH_S: Final = 5.0
STOP_TIMEOUT_S: Final = 6.0


class HsmLost(Exception):  # noqa: N818 - reads as what it says
    """The token does not work any more in this process; only another one can log in again."""


@dataclass(frozen=True)
class Job:
    """A request that waits for its turn. `answer` takes what the operation gave, or why it did not."""

    operation: str
    args: Args
    answer: Callable[[Args | SignerError], None]


class Server:
    """Serves until `stop()`; the request in hand is finished first."""

    def __init__(self, config: SignerConfig, operations: Operations) -> None:
        self._config, self._operations = config, operations
        self._to_sign: asyncio.Queue[tuple[Request, Callable[[Outcome], None]]] = asyncio.Queue()
        self._others: asyncio.PriorityQueue[tuple[int, int, Job]] = asyncio.PriorityQueue()
        self._order = itertools.count()
        self._nothing_to_sign = asyncio.Event()
        self._stopping = asyncio.Event()
        self._signing, self._working = asyncio.Lock(), asyncio.Lock()
        self._pending_bytes = 0
        self._room = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()

    def stop(self) -> None:
        """Take no new request."""
        self._stopping.set()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Listen and work until stopped; HsmLost when the token stops working."""
        server = await self._listen()
        workers = [asyncio.create_task(work()) for work in (self._sign, self._work, self._refresh, self._count_on)]
        stopped = asyncio.create_task(self._stopping.wait())
        ready()
        done, _ = await asyncio.wait([*workers, stopped], return_when=asyncio.FIRST_COMPLETED)
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                # held while a request is in hand, and by us from now on: no worker begins another
                await self._signing.acquire()
                await self._working.acquire()
        for task in (*workers, stopped):
            task.cancel()
        await asyncio.gather(*workers, stopped, return_exceptions=True)
        await self._hang_up()
        for task in done - {stopped}:
            task.result()  # a worker never ends by itself: what ended it ends the process
        if self._operations.hsm.unusable:
            raise HsmLost("the token does not sign any more")

    async def _listen(self) -> asyncio.Server:
        if self._config.socket_fd is not None:
            # not start_unix_server: from Python 3.13 on that looks for the socket's file, which we may not see, and
            # takes it away when this signer ends, while others still listen there
            return await asyncio.start_server(self._connected, sock=socket.socket(fileno=self._config.socket_fd))
        assert self._config.socket_path is not None
        return await asyncio.start_unix_server(self._connected, self._config.socket_path)

    async def _hang_up(self) -> None:
        writers = list(self._connections)
        for writer in writers:
            writer.close()
        # the last answers leave; whoever does not take them within a second has hung up too
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer)
        if uid not in self._config.allowed_uids or len(self._connections) >= MAX_CONNECTIONS:
            log.warning("refused a connection of uid %s", uid)
            writer.close()
            return
        self._connections.add(writer)
        try:
            while (body := await read_frame(reader)) is not None:
                self._accept(body, writer)
                async with asyncio.timeout(WRITE_TIMEOUT_S):  # somebody who asks must also listen
                    await writer.drain()
                while self._pending_bytes > MAX_PENDING_BYTES:
                    self._room.clear()
                    await self._room.wait()
        except (ProtocolError, OSError) as error:
            log.warning("closing a connection: %s", error or type(error).__name__)
        finally:
            self._connections.discard(writer)
            writer.close()

    def _accept(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        message = message_of(body)
        operation, args, number = message.get("op"), message.get("args"), message["id"]
        cost = len(body) + REQUEST_OVERHEAD_BYTES
        self._pending_bytes += cost

        def answer(result: Args | SignerError) -> None:
            self._pending_bytes -= cost
            self._room.set()
            if not writer.is_closing():
                writer.write(_frame(number, result))

        if not isinstance(operation, str) or not isinstance(args, dict):
            answer(ProtocolError("op and args are needed"))
        elif operation in IMMEDIATE:
            answer(self._immediate(operation, args))
            self._check_hsm()
        elif operation == SIGN:
            self._queue_signature(args, answer)
        elif operation in QUEUED:
            priority = QUEUED[operation][0]
            self._others.put_nowait((priority, next(self._order), Job(operation, args, answer)))
        else:
            answer(ProtocolError("unknown operation"))

    def _immediate(self, operation: str, args: Args) -> Args | SignerError:
        try:
            return IMMEDIATE[operation](self._operations, args)
        except SignerError as error:
            return error

    def _queue_signature(self, args: Args, answer: Callable[[Args | SignerError], None]) -> None:
        try:
            request = signing_request(args)
        except SignerError as error:
            answer(error)
            return
        self._nothing_to_sign.clear()
        self._to_sign.put_nowait(
            (request, lambda outcome: answer(signed_answer(outcome) if isinstance(outcome, Signed) else outcome))
        )

    async def _sign(self) -> None:
        while True:
            if self._to_sign.empty():
                self._nothing_to_sign.set()
            batch = [await self._to_sign.get()]
            while len(batch) < MAX_BATCH and not self._to_sign.empty():
                batch.append(self._to_sign.get_nowait())
            async with self._signing:
                await self._operations.signing.batch(batch)
            self._operations.epoch.signed.set()
            self._check_hsm()

    async def _work(self) -> None:
        while True:
            _, _, job = await self._others.get()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MAX_COURTESY_S):
                    await self._nothing_to_sign.wait()
            async with self._working:
                try:
                    result: Args | SignerError = await QUEUED[job.operation][1](self._operations, job.args)
                except SignerError as error:
                    result = error
                job.answer(result)
            self._check_hsm()
            # work that waits for nothing would keep the loop to itself, and what came meanwhile may be more urgent
            await asyncio.sleep(0)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(JWT_REFRESH_S)
            try:
                await self._operations.tokens.refresh()
            except SignerError as error:
                log.warning("the token-signing key was not refreshed: %s", error)
            self._check_hsm()

    async def _count_on(self) -> None:
        await self._operations.epoch.count_on()

    def _check_hsm(self) -> None:
        if self._operations.hsm.unusable:
            self.stop()


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """The uid of the process at the other end, by the kernel's word (SO_PEERCRED)."""
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def _frame(number: int, result: Args | SignerError) -> bytes:
    if not isinstance(result, SignerError):
        try:
            return encode_frame({"v": VERSION, "id": number, "ok": result})
        except ProtocolError as error:  # an answer that is too large
            result = error
    return encode_frame({"v": VERSION, "id": number, **error_to_answer(result)})
