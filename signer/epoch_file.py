"""A copy of the instance's epoch in a file outside its home: one line, `<instance id> <epoch>`.

It is there to be later than a database that was put back. So it only ever grows, and that of another instance, or one
that is damaged, says nothing.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from uuid import UUID

FILE_NAME = "epoch"
MAX_BYTES = 200


def path_of(directory: Path, instance_id: UUID) -> Path:
    """Where an instance's copy is: a directory of its own, which belongs to whoever writes it."""
    return directory / str(instance_id) / FILE_NAME


def read(path: Path, instance_id: UUID) -> int | None:
    """The epoch in the file; None where there is none for this instance."""
    try:
        with path.open("rb") as file:
            named, _, epoch = file.read(MAX_BYTES).decode("ascii").strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    return int(epoch) if named == str(instance_id) and epoch.isdecimal() else None


def raise_to(path: Path, instance_id: UUID, epoch: int) -> bool:
    """Write the epoch unless a later one is there, durable when this returns. OSError where it cannot be written.

    False where somebody else is writing at this moment: theirs does as well.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        found = read(path, instance_id)
        if found is not None and found >= epoch:
            return True
        fresh = path.with_name(f".{FILE_NAME}.new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:  # noqa: PTH123 - made with its mode
            file.write(f"{instance_id} {epoch}\n")
            file.flush()
            # whoever owns the directory reads and writes it, also where root wrote it last
            owner = os.fstat(directory)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
        fresh.rename(path)
        os.fsync(directory)
        return True
    finally:
        os.close(directory)
