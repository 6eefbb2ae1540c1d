"""The signer's socket: who may connect, which request goes first, and what an answer looks like.

Reading and writing are asynchronous; the requests themselves run one after the other on this same thread, because
the PKCS#11 module must never see a second one.
"""

import asyncio
import itertools
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from signer.config import SignerConfig
from signer.errors import ProtocolError, SignerError
from signer.operations import NORMAL, OPERATIONS, Operations
from signer.protocol import VERSION, encode_frame, read_frame

log = logging.getLogger(__name__)

MAX_QUEUED: Final = 10_000
MAX_BUFFERED_PER_CONNECTION: Final = 256
WRITE_TIMEOUT_S: Final = 10.0

Job = tuple[int, int, Callable[[], None]]


class Server:
    """Serves until `stop()`; the request in hand is finished first."""

    def __init__(self, config: SignerConfig, operations: Operations) -> None:
        self._config, self._operations = config, operations
        self._jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue(MAX_QUEUED)
        self._order = itertools.count()
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()

    def stop(self) -> None:
        """Take no new request."""
        self._stopping.set()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Listen and work until stopped."""
        server = await self._listen()
        worker = asyncio.create_task(self._work())
        ready()
        await asyncio.wait([worker, asyncio.create_task(self._stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
        server.close()
        for writer in list(self._connections):
            writer.close()
        if worker.done():
            worker.result()  # an unexpected error in the worker ends the process: the supervisor starts a new one
        worker.cancel()

    async def _listen(self) -> asyncio.AbstractServer:
        if self._config.socket_fd is not None:
            listener = socket.socket(fileno=self._config.socket_fd)
            return await asyncio.start_unix_server(self._connected, sock=listener)
        assert self._config.socket_path is not None
        return await asyncio.start_unix_server(self._connected, self._config.socket_path)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer)
        if uid not in self._config.allowed_uids:
            log.warning("refused a connection of uid %s", uid)
            writer.close()
            return
        self._connections.add(writer)
        waiting = asyncio.Semaphore(MAX_BUFFERED_PER_CONNECTION)
        try:
            while (message := await read_frame(reader)) is not None:
                await waiting.acquire()
                await self._queue(message, writer, waiting)
        except (ProtocolError, ConnectionError) as error:
            log.warning("closing a connection: %s", error)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _queue(self, message: dict[str, Any], writer: asyncio.StreamWriter, waiting: asyncio.Semaphore) -> None:
        operation = message.get("op")
        priority = OPERATIONS[operation][0] if operation in OPERATIONS else NORMAL

        def job() -> None:
            waiting.release()
            if not writer.is_closing():
                writer.write(encode_frame(self._answer(message)))

        await self._jobs.put((priority, next(self._order), job))

    async def _work(self) -> None:
        while True:
            _, _, job = await self._jobs.get()
            job()
            # let what has arrived meanwhile be read, so that priorities mean something
            await asyncio.sleep(0)

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        answer = {"v": VERSION, "id": message["id"]}
        args = message.get("args")
        try:
            if not isinstance(args, dict) or not isinstance(message.get("op"), str):
                raise ProtocolError("op and args are needed")
            return {**answer, "ok": self._operations.run(message["op"], args)}
        except SignerError as error:
            return {**answer, "error": error.code, "detail": str(error)}


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """The uid of the process at the other end, by the kernel's word (SO_PEERCRED)."""
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)
