"""The parts of a back-up, one after the other: a tar, so that it can be taken apart without Talon too.

A part whose length is not known in advance is cut into pieces, `<name>#<number>`. The last entry is the end mark,
with the length and SHA-256 of every part: a file without it is not whole, whatever its own length says.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from talon.backup.envelope import DAMAGED
from talon.backup.errors import BackupError
from talon.backup.manifest import MAX_BYTES, Manifest

PIECE_BYTES = 4 << 20
MANIFEST, END = "manifest.json", "end.json"
MAX_END_BYTES = 16 << 20


@dataclass
class _Digest:
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0

    def add(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)

    def shown(self) -> list[Any]:
        return [self.size, self.digest.hexdigest()]


class Writer:
    """Writes the manifest, then parts, then (`finish`) the end mark."""

    def __init__(self, stream: BinaryIO, manifest: Manifest) -> None:
        self._tar = tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed in finish
        self._parts: dict[str, _Digest] = {}
        self._add(MANIFEST, manifest.text())

    def part(self, name: str, data: Iterable[bytes]) -> int:
        """Write one part; returns its bytes."""
        digest = self._parts[name] = _Digest()
        waiting = bytearray()
        number = 0
        for chunk in data:
            waiting += chunk
            while len(waiting) >= PIECE_BYTES:
                self._piece(name, number, bytes(waiting[:PIECE_BYTES]))
                del waiting[:PIECE_BYTES]
                number += 1
        if waiting or number == 0:
            self._piece(name, number, bytes(waiting))
        return digest.size

    def finish(self) -> None:
        """Write the end mark."""
        self._add(END, json.dumps({name: each.shown() for name, each in self._parts.items()}).encode())
        self._tar.close()

    def _piece(self, name: str, number: int, data: bytes) -> None:
        self._parts[name].add(data)
        self._add(f"{name}#{number}", data)

    def _add(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o600
        self._tar.addfile(entry, io.BytesIO(data))
        # it remembers every entry, of which there may be a million
        self._tar.members = []  # type: ignore[attr-defined]  # its own list


class Reader:
    """The manifest, then every part by name as it comes; afterwards `require_whole`."""

    def __init__(self, stream: BinaryIO) -> None:
        try:
            self._tar = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 - the stream is the caller's
        except tarfile.TarError:
            raise BackupError(DAMAGED) from None
        self._parts: dict[str, _Digest] = {}
        self._end: bytes | None = None
        name, data = self._next() or ("", b"")
        if name != MANIFEST:
            raise BackupError("this is no back-up of Talon's: its first part cannot be read")
        self.manifest = Manifest.read(data)

    def pieces(self) -> Iterator[tuple[str, int, bytes]]:
        """Part, number of the piece, its bytes; in the order of the file."""
        while (found := self._next()) is not None:
            name, data = found
            if name == END:
                self._end = data
                continue
            part, _, number = name.rpartition("#")
            if not part or not number.isdecimal() or self._end is not None:
                raise BackupError(DAMAGED)
            self._parts.setdefault(part, _Digest()).add(data)
            yield part, int(number), data

    def require_whole(self) -> None:
        """BackupError unless the end mark came, and is of exactly these parts."""
        try:
            told = json.loads(self._end or b"null")
        except ValueError:
            told = None
        if told != {name: each.shown() for name, each in self._parts.items()}:
            raise BackupError(DAMAGED)

    def _next(self) -> tuple[str, bytes] | None:
        try:
            entry = self._tar.next()
            self._tar.members = []  # type: ignore[attr-defined]  # its own list
            if entry is None:
                return None
            bound = {MANIFEST: MAX_BYTES, END: MAX_END_BYTES}.get(entry.name, PIECE_BYTES)
            file = self._tar.extractfile(entry)
            if file is None or entry.size > bound:
                raise BackupError(DAMAGED)
            data = file.read()
        except tarfile.TarError:
            raise BackupError(DAMAGED) from None
        if len(data) != entry.size:
            raise BackupError(DAMAGED)
        return entry.name, data
