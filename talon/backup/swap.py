"""Put a finished home in its place by one rename, so that at every moment the old or the new one is there, whole."""

import ctypes
import errno
import os
from pathlib import Path

# linux/fs.h, fcntl.h
RENAME_EXCHANGE = 2
AT_FDCWD = -100
# of kernels and file systems that cannot exchange
CANNOT = {errno.ENOSYS, errno.EINVAL}


def into_place(fresh: Path, home: Path, aside: Path) -> None:
    """Make `fresh` the home. One that is there and not empty is afterwards `aside`; OSError when it cannot be done.

    Killed in the middle, `aside` may be a second, finished copy of the new home; the old one is never without a name.
    """
    try:
        # an empty directory is replaced, one with anything in it is not
        fresh.rename(home)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # first under the name that the old home gets: what lies there is never taken for something half done
        fresh.rename(aside)
        _exchange(aside, home)
    _sync(home.parent)


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        done = libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0
        number = 0 if done else ctypes.get_errno()
    except AttributeError:  # an old C library
        number = errno.ENOSYS
    if number == 0:
        return
    if number not in CANNOT:
        raise OSError(number, os.strerror(number), str(other))
    between = one.with_name(f"{one.name}.new")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
