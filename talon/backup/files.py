"""The files of a home that belong into a back-up: the token with its PIN, and the local chain's state."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from anvil.state_file import PACKED, PLAIN
from talon.backup.envelope import DAMAGED
from talon.backup.errors import BackupError

READ_BYTES = 1 << 20
# a local chain that has grown beyond this stays out: it is for trying and testing
MAX_CHAIN_BYTES = 256 << 20


def of_token(token: Path) -> list[str]:
    """The token's files, relative to it; its configuration is left out, which every start writes anew."""
    found = [token / "pin", *sorted((token / "tokens").rglob("*"))]
    return [str(path.relative_to(token)) for path in found if path.is_file() and not path.is_symlink()]


def of_chain(chain: Path) -> list[str]:
    """The local chain's saved state, which is replaced as a whole; none where there is none, or it is too large."""
    found = [name for name in (PLAIN, PACKED) if (chain / name).is_file()]
    return [] if sum((chain / name).stat().st_size for name in found) > MAX_CHAIN_BYTES else found


def read(file: BinaryIO) -> Iterator[bytes]:
    """A file's bytes, of one moment where its writer takes the lock that SoftHSM takes (fcntl(2))."""
    fcntl.lockf(file, fcntl.LOCK_SH)
    while data := file.read(READ_BYTES):
        yield data


def place(directory: Path, name: str) -> Path:
    """Where a part of a back-up goes below `directory`; BackupError for a name that leads elsewhere."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("..", "/", "") for part in parts):
        raise BackupError(DAMAGED)
    return directory.joinpath(*parts)


def add(path: Path, number: int, data: bytes) -> None:
    """Append a piece to a file that is ours alone, made with its first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    how = os.O_WRONLY | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if number == 0 else os.O_APPEND)
    with os.fdopen(os.open(path, how, 0o600), "ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
