"""Make a back-up: the database first, then the token, so that no key in the one is missing in the other.

The epoch goes up behind the snapshot: a database that is put back from it by other means than `talon restore` is
older than what the instance says of itself from then on.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from signer import epoch_file
from talon import __version__
from talon.backup import files
from talon.backup.archive import Writer
from talon.backup.envelope import Lock, recipient_of, sealing
from talon.backup.errors import BackupError
from talon.backup.manifest import Manifest
from talon.backup.sizes import shown
from talon.backup.tables import Snapshot, connected, snapshot
from talon.layout import Layout

SAY_EVERY_BYTES = 64 << 20


@dataclass(frozen=True)
class Made:
    """What is in the file now."""

    manifest: Manifest
    size: int


def make(
    target: Path,
    lock: Lock,
    *,
    owner_url: str,
    layout: Layout,
    epochs: Path | None,
    absent: list[str],
    say: Callable[[str], None],
) -> Made:
    """Write `target`, which appears only when it is whole. `epochs` is where copies of the epoch are kept.

    BackupError, psycopg.Error or OSError when it cannot be made; nothing is left then.
    """
    if lock.recipient is not None:
        recipient_of(lock.recipient)
    with whole_file(target) as file, snapshot(owner_url) as taken:
        _count_on(owner_url, taken, epochs)
        token, chain = _token(layout), files.of_chain(layout.chain)
        manifest = Manifest(
            talon=__version__,
            instance_id=str(taken.instance_id),
            revision=taken.revision,
            epoch=taken.epoch,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            tables=taken.tables,
            sequences=taken.sequences,
            has_token=bool(token),
            has_chain=bool(chain),
            absent=absent,
        )
        say(f"database: {len(taken.tables)} tables, about {shown(taken.size)} on disk with its indexes")
        with sealing(file, lock) as stream:
            writer = Writer(stream, manifest)
            _add_tables(writer, taken, say)
            _add_files(writer, "token", layout.token, token, say)
            _add_files(writer, "chain", layout.chain, chain, say)
            writer.finish()
        return Made(manifest, file.tell())


def _token(layout: Layout) -> list[str]:
    return files.of_token(layout.token) if (layout.token / "pin").is_file() else []


def _count_on(owner_url: str, taken: Snapshot, epochs: Path | None) -> None:
    with connected(owner_url) as connection:
        row = connection.execute("UPDATE instance SET epoch = epoch + 1 RETURNING epoch").fetchone()
        assert row is not None
    if epochs is not None:
        file = epoch_file.path_of(epochs, taken.instance_id)
        # the signer, who owns it, writes it at the next signature at the latest
        with contextlib.suppress(OSError):
            epoch_file.raise_to(file, taken.instance_id, int(row[0]))


def _add_tables(writer: Writer, taken: Snapshot, say: Callable[[str], None]) -> None:
    done = told = 0

    def told_of(rows: Iterator[bytes], table: str) -> Iterator[bytes]:
        nonlocal done, told
        for piece in rows:
            done += len(piece)
            if done - told >= SAY_EVERY_BYTES:
                told = done
                say(f"database: {shown(done)} written, at {table}")
            yield piece

    for table in taken.tables:
        writer.part(f"database/{table}", told_of(taken.rows(table), table))
    say(f"database: {shown(done)} of rows written")


def _add_files(writer: Writer, kind: str, directory: Path, names: list[str], say: Callable[[str], None]) -> None:
    size = 0
    for name in names:
        try:
            file = (directory / name).open("rb")
        except FileNotFoundError:
            continue  # an object of the token that was ended meanwhile
        with file:
            size += writer.part(f"{kind}/{name}", files.read(file))
    if names:
        say(f"{kind}: {shown(size)}")


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when the block ends well, durable and 0600; nothing stays otherwise.

    BackupError where there is one of that name, or somebody else is making it.
    """
    if target.exists():
        raise BackupError(f"{target} is there already: a back-up replaces nothing")
    partial = target.with_name(f".{target.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise BackupError(f"{partial} belongs to somebody else")
        os.fchmod(descriptor, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"{target} is being made by somebody else") from None
        # whoever held the lock until now may have finished: then what is open here is what he made
        if target.exists():
            raise BackupError(f"{target} is there already: a back-up replaces nothing")
        try:
            # left by one that was killed
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            partial.rename(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
