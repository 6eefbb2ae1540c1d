"""Listen in on a Unix socket: take its path, pass everything on to the real one, and keep a copy."""

import asyncio
from pathlib import Path
from typing import Self


class SocketTap:
    """Between clients that connect from now on and the server behind `path`; records both directions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._real = path.with_suffix(".tapped")
        self._copy = bytearray()
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bytes_seen(self) -> int:
        return len(self._copy)

    def recorded(self) -> bytes:
        return bytes(self._copy)

    async def __aenter__(self) -> Self:
        # a bound socket keeps its listener when its name moves
        self._path.rename(self._real)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o777)  # who may connect is decided by the directory
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        self._path.unlink()
        self._real.rename(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_unix_connection(self._real)
        for source, target in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(self._pass(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                self._copy += data
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass  # one end was killed: that is what the test does
        finally:
            target.close()
