"""TALON_HOME: whether it can be used, and the lock that keeps it to one program at a time."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

# of file systems that do not lock at all (flock(2) and fcntl(2) answer so there)
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
LOCK = "lock"


class HomeError(Exception):
    """The home cannot be used; the text is for the operator."""


class HomeInUse(HomeError):  # noqa: N818 - reads as what it says
    """Somebody else holds the home's lock."""


@contextlib.contextmanager
def home_lock(home: Path, *, create: bool = True) -> Iterator[None]:
    """Be the only program that works on this home; the lock ends with the process, however it ends.

    HomeInUse when somebody else is; HomeError when the home is no directory, cannot be written, cannot be locked,
    or is not there and `create` is false.
    """
    if create:
        _make(home)
    with contextlib.ExitStack() as stack:
        try:
            # appending, because who only asks must not empty it
            file = stack.enter_context((home / LOCK).open("a"))
        except FileNotFoundError:
            raise HomeError(f"there is no instance in TALON_HOME ({home}) yet") from None
        except OSError as error:
            raise HomeError(f"TALON_HOME ({home}) cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUse(f"another Talon runs on {home}") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise HomeError(f"TALON_HOME ({home}) cannot be locked: {error.strerror}") from None
            raise HomeError(
                f"the file system of TALON_HOME ({home}) has no locks ({error.strerror}), so that nothing would keep"
                " two instances from the same keys: choose a home on a local disk"
            ) from None
        yield


def _make(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        if home.is_symlink():
            raise HomeError(f"TALON_HOME ({home}) is a link to what is not there ({home.readlink()})") from None
        raise HomeError(f"TALON_HOME ({home}) is a file, not a directory") from None
    except NotADirectoryError as error:
        raise HomeError(f"TALON_HOME ({home}) lies below a file ({error.filename})") from None
    except OSError as error:
        raise HomeError(f"TALON_HOME ({home}) cannot be made: {error.strerror}") from None
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise HomeError(f"TALON_HOME ({home}) cannot be written: {os.strerror(errno.EACCES)}")
