"""Start a program with fewer rights: another uid, a private view of the files, and death with its parent.

Run as a script in the new child, before the real program (`Confinement.wrap` makes the command). As root it
enters a mount namespace of its own in which directories that the uid may not pass (a home under /root, a
TALON_HOME of mode 0700) are covered by an empty file system that holds, at the same paths, only what the program
needs. So nothing has to be made readable for it, and everything else there is out of its sight. Linux only; standard
library only, because it runs with `-I -S`.
"""

import ctypes
import json
import os
import resource
import signal
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

# sys/mount.h, sched.h, sys/prctl.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
CLONE_NEWNS = 0x20000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


@dataclass(frozen=True)
class Confinement:
    """How a program runs. `uid` None: as we do. `readable` and `writable` are needed only together with a uid."""

    uid: int | None = None
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    death_signal: int = signal.SIGKILL
    directory: str = "/"

    def wrap(self, command: list[str]) -> list[str]:
        """The command that starts `command` this way, as a child of this process."""
        spec = json.dumps({**asdict(self), "parent": os.getpid()})
        return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), spec, *command]


def main() -> None:
    """Become the program named on the command line."""
    spec, command = json.loads(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    uid = spec["uid"]
    if uid is not None:
        enter_private_view(libc, uid, spec["readable"], spec["writable"])
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # a core file would hold what the memory holds
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    # after the change of uid, which clears it
    check(libc.prctl(PR_SET_PDEATHSIG, spec["death_signal"], 0, 0, 0), "pdeathsig")
    if os.getppid() != spec["parent"]:
        sys.exit("the parent died first")
    os.chdir(spec["directory"])
    os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command


def enter_private_view(libc: ctypes.CDLL, uid: int, readable: list[str], writable: list[str]) -> None:
    """Cover what the uid may not pass, and bring back the given paths at their places; OSError if not permitted."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount(libc, "none", "/", MS_REC | MS_PRIVATE)
    # target → (open source, writable): sources are opened before they are covered
    wanted: dict[str, tuple[int, bool]] = {}
    for path, may_write in [*((p, False) for p in readable), *((p, True) for p in writable)]:
        for target in dict.fromkeys((str(Path(path).resolve()), str(Path(path).absolute()))):
            wanted[target] = (os.open(path, os.O_PATH), may_write)
    covers = {cover for target in wanted if (cover := first_closed(target, uid)) is not None}
    covers = {c for c in covers if not any(c != other and inside(c, other) for other in covers)}
    for cover in covers:
        mount(libc, "tmpfs", cover, MS_NOSUID | MS_NODEV, "tmpfs", b"mode=0755,size=256k")
    # outer paths first, so that an inner one is not hidden by them
    for target, (source, may_write) in sorted(wanted.items()):
        if not any(inside(target, cover) for cover in covers):
            continue
        if not os.path.lexists(target):
            make_place(target, stat.S_ISDIR(os.fstat(source).st_mode))
        if os.path.samestat(Path(target).stat(), os.fstat(source)):
            continue
        mount(libc, f"/proc/self/fd/{source}", target, MS_BIND | MS_REC)
        if not may_write:
            mount(libc, "none", target, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    for source, _ in wanted.values():
        os.close(source)


def first_closed(target: str, uid: int) -> str | None:
    """The outermost directory on the way to `target` (itself left out) that this uid may not pass."""
    for ancestor in reversed(Path(target).parents):
        found = ancestor.stat()
        if not found.st_mode & (stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH):
            return str(ancestor)
    return None


def inside(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or below it."""
    return Path(path).is_relative_to(directory)


def make_place(target: str, directory: bool) -> None:
    """Something to mount on, with passable parents."""
    missing = [p for p in reversed(Path(target).parents) if not p.exists()]
    for parent in missing:
        parent.mkdir()
        # readable too: the interpreter lists the directories that it imports from
        parent.chmod(0o755)
    if directory:
        Path(target).mkdir()
    else:
        Path(target).touch()


def mount(libc: ctypes.CDLL, source: str, target: str, flags: int, kind: str = "", data: bytes | None = None) -> None:
    """mount(2); OSError names the target."""
    result = libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data)
    check(result, f"mount {target}")


def check(result: int, what: str) -> None:
    """Raise OSError for a C function's -1."""
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)


if __name__ == "__main__":
    main()
