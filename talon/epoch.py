"""At the start: how far this instance had come, by its database and by the copies outside of it.

A copy that is later than the database means that the database was put back from an older one: the instance starts
frozen (`vault.restores`). A copy that is missing means nothing. Here the epoch goes up for the start; what is signed
later counts on in the signer (`signer.epoch`), which also writes the copies.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from signer import epoch_file
from signer.lifeline import REFUSED
from talon.confine import Confinement
from talon.layout import own
from talon.migrate import CONNECT_TIMEOUT_S, LOCK_TIMEOUT_MS
from talon.settings import Settings
from talon.token import TokenError
from vault.restores.gate import CLOSE, FREEZE

OFF = "off"
ROOTS_DIRECTORY = Path("/var/lib/talon-epoch")
READ_TIMEOUT_S = 60.0

_LOOK = text("SELECT id, epoch FROM instance FOR UPDATE")
_START = text("UPDATE instance SET epoch = :epoch, start_epoch = :epoch")
_FROZEN = text("SELECT why FROM restores WHERE opened_at IS NULL")


@dataclass(frozen=True)
class Started:
    """The instance that starts, its epoch, the copy outside its home (None: nowhere), and why it is frozen."""

    instance_id: UUID
    epoch: int
    file: Path | None
    frozen: str | None


def start(owner_url: str, directory: Path | None, signer_uid: int | None, in_token: Mapping[UUID, int]) -> Started:
    """Hold the copies against the database, and count the start, in one transaction."""
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
            # whoever else counts on waits for us: every copy is one of the epoch that stands here, or before it
            found = connection.execute(_LOOK).one()
            file = None if directory is None else _prepared(directory, found.id, signer_uid)
            in_file = None if file is None else epoch_file.read(file, found.id)
            later = {"the token": in_token.get(found.id), f"{file}": in_file}
            where, outside = max(((name, epoch or 0) for name, epoch in later.items()), key=lambda each: each[1])
            if outside > found.epoch:
                why = f"its database is an older copy, at epoch {found.epoch}, while {where} is at {outside}."
                connection.execute(CLOSE)
                connection.execute(FREEZE, {"found_by": "epoch", "why": why})
            epoch = max(found.epoch, outside) + 1
            connection.execute(_START, {"epoch": epoch})
            frozen = connection.execute(_FROZEN).scalar()
    finally:
        engine.dispose()
    return Started(found.id, epoch, file, frozen)


def directory_of(settings: Settings, home: Path, say: Callable[[str], None]) -> Path | None:
    """Where copies outside the home are kept; None for nowhere, with a line why unless that was chosen."""
    chosen = settings.epoch_directory
    if chosen == OFF:
        return None
    directory = Path(chosen) if chosen else _usual()
    if directory is None or directory.resolve().is_relative_to(home.resolve()):
        say(
            "warning: no place outside TALON_HOME for the epoch, so an older home that is put back by hand is noticed"
        )
        say("         by its chains alone; set TALON_EPOCH_DIRECTORY")
        return None
    return directory


def _usual() -> Path | None:
    if os.geteuid() == 0:
        return ROOTS_DIRECTORY
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "talon"
    try:
        return Path.home() / ".local" / "state" / "talon"
    except RuntimeError:
        return None  # a user without a home


def _prepared(directory: Path, instance_id: UUID, signer_uid: int | None) -> Path | None:
    """The file's path, in a directory that the signer may write; None where that cannot be made."""
    file = epoch_file.path_of(directory, instance_id)
    try:
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        own(file.parent, signer_uid)
        for each in file.parent.iterdir():
            own(each, signer_uid)
    except OSError:
        return None
    return file


@contextlib.contextmanager
def read_token(
    request: Mapping[str, str], environment: Mapping[str, str], confinement: Confinement
) -> Iterator[Callable[[], dict[UUID, int]]]:
    """Have a short-lived child read the token's epochs, while other things start; the call gives what it found.

    Nothing where the token cannot be asked: the signer, which then cannot either, says so. TokenError for a PIN that
    was refused: tokens count wrong ones and lock, so no signer may try it again.
    """
    command = confinement.wrap([sys.executable, "-m", "signer.read_epoch"])
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request))
            process.stdin.close()
        process.stdin = None

        def found() -> dict[UUID, int]:
            try:
                said, why = process.communicate(timeout=READ_TIMEOUT_S)
                if process.returncode == REFUSED:
                    raise TokenError((why.strip().splitlines() or ["the token does not take the PIN"])[-1])
                return {UUID(name): int(epoch) for name, epoch in json.loads(said or "{}").items()}
            except (subprocess.TimeoutExpired, ValueError):
                return {}

        yield found
    finally:
        process.kill()
        process.communicate()
