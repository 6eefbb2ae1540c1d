"""As root the processes run under uids of their own: they have to be able to read the program."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def make_readable(places: Iterable[Path]) -> None:
    """Give what a strict umask took: files and directories below these places become readable for all.

    Nothing secret is there. The directories above stay as they are (see talon/confine.py).
    """
    for place in places:
        for directory, _, files in os.walk(place):
            _open(Path(directory), 0o055)
            for name in files:
                _open(Path(directory, name), 0o044)


def _open(path: Path, bits: int) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return
    wanted = found.st_mode | bits | (0o011 if found.st_mode & 0o100 else 0)
    if wanted != found.st_mode:
        path.chmod(stat.S_IMODE(wanted))
