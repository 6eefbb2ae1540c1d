"""Restore a back-up: into a new home beside the place where it belongs, which it takes at the very end.

Everything about the file is found out before anything that exists is touched. What was restored is frozen: of what
the instance did after the back-up it knows nothing (`vault.restores`).
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from signer import epoch_file
from talon import __version__
from talon.backup import files, swap
from talon.backup.archive import Reader
from talon.backup.envelope import DAMAGED, Key, opening
from talon.backup.errors import BackupError, HalfRestoredError
from talon.backup.manifest import Manifest, require_known, require_same_parts
from talon.backup.sizes import shown
from talon.backup.tables import CONNECT_TIMEOUT_S, Load, is_empty
from talon.home import LOCK, home_lock
from talon.layout import Layout
from talon.migrate import revisions
from talon.postgres import EmbeddedPostgres
from vault.restores.gate import FREEZE

SAY_EVERY_BYTES = 64 << 20

_SET_EPOCH = text("UPDATE instance SET epoch = :epoch, start_epoch = :epoch")


@dataclass(frozen=True)
class Restored:
    """What was put where; `aside` is the home that was there before."""

    manifest: Manifest
    aside: Path | None


def put_back(
    source: Path,
    key: Key,
    home: Path,
    *,
    replace: bool,
    external_url: str | None,
    token_is_external: bool,
    epochs: Path | None,
    say: Callable[[str], None],
) -> Restored:
    """Restore `source` as `home`; an external database is filled in one transaction, just before.

    BackupError, HomeError or OSError, and nothing is changed then but what HalfRestoredError says.
    """
    with contextlib.ExitStack() as stack:
        _require_place(home, replace=replace)
        if home.is_dir() and any(home.iterdir()):
            # nobody starts it while it is being replaced
            stack.enter_context(home_lock(home, create=False))
        file = stack.enter_context(source.open("rb"))
        reader = Reader(stack.enter_context(opening(file, key)))
        manifest = reader.manifest
        require_known(manifest, revisions(), __version__)
        require_same_parts(manifest, token_is_external=token_is_external)
        _require_same_instance(home, manifest)
        say(f"back-up of {manifest.made_at} (Talon {manifest.talon}, epoch {manifest.epoch})")
        fresh = Layout(stack.enter_context(_staging(home)))
        _fill(reader, fresh, external_url, _outside(epochs, manifest), say)
        aside = home.with_name(f"{home.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        was_there = home.is_dir() and any(home.iterdir())
        try:
            swap.into_place(fresh.home, home, aside)
        except OSError as error:
            if external_url is None:
                raise
            raise HalfRestoredError(f"the home cannot be put in its place: {error.strerror}") from None
    return Restored(manifest, aside if was_there else None)


def _require_place(home: Path, *, replace: bool) -> None:
    if home.is_mount():
        raise BackupError(
            f"{home} is a mount point, which no finished home can be put in place of: set TALON_HOME to a directory"
            " below it"
        )
    if home.exists() and not home.is_dir():
        raise BackupError(f"{home} is a file, not a directory")
    if home.is_dir() and any(home.iterdir()) and not replace:
        raise BackupError(
            f"{home} is not empty: name another TALON_HOME, or use --replace, which keeps what is there beside it"
        )


def _require_same_instance(home: Path, manifest: Manifest) -> None:
    if not home.is_dir() or not any(home.iterdir()):
        return
    try:
        found = json.loads(Layout(home).instance.read_text())["id"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupError(f"{home} does not say which instance's home it is: move it away by hand") from None
    if found != manifest.instance_id:
        raise BackupError(
            f"{home} is the home of another instance ({found}) than the back-up's ({manifest.instance_id}): name"
            " another TALON_HOME"
        )


def _outside(epochs: Path | None, manifest: Manifest) -> int:
    instance_id = UUID(manifest.instance_id)
    return 0 if epochs is None else epoch_file.read(epoch_file.path_of(epochs, instance_id), instance_id) or 0


@contextlib.contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """A directory beside the home, on the same file system; what a killed restore left there goes first."""
    fresh = home.with_name(f".{home.name}.restoring")
    with home_lock(fresh):
        for path in fresh.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        fresh.chmod(0o700)
        try:
            yield fresh
        finally:
            if fresh.exists():
                shutil.rmtree(fresh)


def _fill(reader: Reader, fresh: Layout, external_url: str | None, outside: int, say: Callable[[str], None]) -> None:
    if external_url is not None:
        _load(reader, fresh, external_url, outside, say)
    else:
        server = EmbeddedPostgres(fresh.postgres, fresh.pg_socket_dir)
        try:
            _load(reader, fresh, server.start().owner, outside, say)
        finally:
            server.stop()
            # whatever wrote it: durable before it takes the place of anything
            os.sync()


def _load(reader: Reader, fresh: Layout, owner_url: str, outside: int, say: Callable[[str], None]) -> None:
    manifest = reader.manifest
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        with engine.begin() as connection:
            if not is_empty(connection):
                raise BackupError("the database of TALON_DATABASE_URL is not empty: name an empty one")
            load = Load(connection, manifest.revision, manifest.tables)
            _take(reader, load, fresh, say)
            load.finish(manifest.sequences)
            _freeze(connection, manifest, outside)
            # all that can fail comes before the database keeps it
            _finish(fresh, manifest)
    finally:
        engine.dispose()


def _finish(fresh: Layout, manifest: Manifest) -> None:
    for directory in (fresh.token, *fresh.token.rglob("*"), fresh.chain):
        if directory.is_dir():
            directory.chmod(0o700)
    fresh.instance.write_text(json.dumps({"id": manifest.instance_id}))
    os.sync()


def _take(reader: Reader, load: Load, fresh: Layout, say: Callable[[str], None]) -> None:
    done = told = 0
    for part, number, data in reader.pieces():
        kind, _, name = part.partition("/")
        if kind == "database":
            load.add(name, data)
        elif kind == "token":
            files.add(files.place(fresh.token, name), number, data)
        elif kind == "chain":
            files.add(files.place(fresh.chain, name), number, data)
        else:
            raise BackupError(DAMAGED)
        done += len(data)
        if done - told >= SAY_EVERY_BYTES:
            told = done
            say(f"{shown(done)} restored, at {part}")
    reader.require_whole()
    say(f"{shown(done)} restored")


def _freeze(connection: Connection, manifest: Manifest, outside: int) -> None:
    """Above every copy of the epoch that there is, so that this is found to be old once, by what it says here."""
    connection.execute(_SET_EPOCH, {"epoch": max(manifest.epoch, outside) + 1})
    why = f"it was restored from a back-up of {manifest.made_at} and knows nothing of what came after that."
    # of two reasons the first stays: a copy that was frozen when it was backed up is frozen for both
    connection.execute(text("UPDATE restores SET opened_at = clock_timestamp() WHERE opened_at IS NULL"))
    connection.execute(FREEZE, {"found_by": "restore", "why": why})
