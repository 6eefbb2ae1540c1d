"""Under which user PostgreSQL runs: it refuses uid 0, and its initdb refuses a uid that has no account.

As root a user namespace is best: it needs no new user and no chown, and what root may read stays readable. Where
it is forbidden (a container's default) the server gets an unused uid, its directories, and either a private view of
the files (talon/confine.py) or, without the right to mount, the one capability that passes closed directories.
"""

import functools
import os
import pwd
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from talon.confine import Confinement

# numeric and unused on purpose: no account has to exist
SERVER_UID = 64100
OVERFLOW_UID = 65534
PROBE_TIMEOUT_S = 10.0
# nothing of our own: it may hold passwords, and whoever runs under the same uid may read it
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C", "TZ": "UTC"}
PASS_CLOSED_DIRECTORIES = [
    # access(2), with which PostgreSQL looks for its programs, leaves capabilities out of account without this one
    "--securebits=+no_setuid_fixup",
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
    "--bounding-set=-all,+dac_override",
    "--no-new-privs",
]


class NoServerUser(Exception):  # noqa: N818 - what there is none of
    """PostgreSQL cannot be run as any user here; the text says what to do."""


def run_as_server(command: list[str], program: Path, own: Iterable[Path], initdb: bool = False) -> list[str]:
    """The command that runs `command` as a user under which PostgreSQL agrees to; NoServerUser.

    `program` is the installation, `own` are the paths that the server owns (given to it, where it has a uid of its
    own). Dies with the thread that starts it.
    """
    dies = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() != 0:
        return [*dies, *_as_ourselves(), *command]
    paths = list(own)
    if prefix := _namespace(_known_uid()):
        give(paths, 0)
        return [*dies, *prefix, *command]
    # initdb looks its account up; who owns the files afterwards it does not mind
    uid = _known_uid() if initdb else SERVER_UID
    give(paths, uid)
    view = Confinement(uid, (str(program),), tuple(map(str, paths)), signal.SIGINT)
    if _works(tuple(Confinement(uid).wrap(["true"]))):
        return view.wrap(command)
    changed = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *PASS_CLOSED_DIRECTORIES]
    return [*dies, *changed, *command]


def give(paths: Iterable[Path], uid: int) -> None:
    """Make a uid the owner of these and all below; a second time there is nothing to do."""
    for path in paths:
        if path.lstat().st_uid != uid:
            # the top comes last: seen from it, all below is done
            for inner in (*(path.rglob("*") if path.is_dir() else ()), path):
                os.chown(inner, uid, uid, follow_symlinks=False)


def _as_ourselves() -> list[str]:
    """Nothing, for a user with an account; without one, a namespace in which its uid has somebody's name."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        if prefix := _namespace(_known_uid()):
            return prefix
        raise NoServerUser(
            f"the user {os.geteuid()} has no account, which PostgreSQL's initdb needs: add a line for it to"
            " /etc/passwd, run as a user that has one, or set TALON_DATABASE_URL to a PostgreSQL of your own"
        ) from None
    return []


def _namespace(uid: int) -> list[str]:
    """The prefix that makes us `uid` in a user namespace of our own; empty where that is forbidden."""
    prefix = ["unshare", "--user", f"--map-user={uid}", f"--map-group={uid}"]
    return prefix if _works((*prefix, "true")) else []


def _known_uid() -> int:
    """A uid that has an account, not root's; the one that unmapped files seem to have comes last."""
    known = sorted({account.pw_uid for account in pwd.getpwall()} - {0}, key=lambda uid: (uid == OVERFLOW_UID, uid))
    if not known:
        raise NoServerUser("there is no account but root's, and PostgreSQL's initdb needs one: add the user `nobody`")
    return known[0]


@functools.cache
def _works(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
