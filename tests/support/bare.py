"""A Debian with next to nothing on it, made by debootstrap in a folder, and the demo in it as whoever one likes.

It reaches what this machine reaches, by copies of what this machine is told: mirror, certificates, proxies.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from talon.bootstrap import SetupError, run, succeeds
from talon.bootstrap.authorities import VARIABLES
from tests.support.checkout import copy_sources, play

INCLUDED = "python3,python3-venv,make,git,ca-certificates"
# what a container's root has by default
CONTAINER = [
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "net_bind_service",
    "net_raw",
    "sys_chroot",
    "mknod",
    "audit_write",
    "setfcap",
]

# Like a container's runtime: a view of the files of its own, whose root is this folder, and processes that end
# with it. After chroot alone, the kernel refuses user namespaces: that is how they are forbidden here.
ENTER = """
set -eu
system=$1 how=$2; shift 2
mount --bind "$system" "$system"
cd "$system"
mount -t proc proc proc
mount --rbind /dev dev
[ "$how" = chroot ] && exec chroot . "$@"
mkdir -p .outside
pivot_root . .outside
umount -l .outside
exec "$@"
"""


@dataclass(frozen=True)
class Who:
    """As whom the demo runs: the prefix inside, and where its checkout lies. `namespaces`: user namespaces work."""

    name: str
    prefix: tuple[str, ...]
    checkout: str
    home: str
    namespaces: bool


ROOT_USER = Who("root", (), "/root/talon", "/root", namespaces=True)
ORDINARY = Who(
    "an ordinary user",
    ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"),
    "/home/anna/talon",
    "/home/anna",
    namespaces=True,
)
NOBODY_KNOWN = Who(
    "a user without an account",
    ("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"),
    "/srv/talon",
    "",
    namespaces=True,
)
IN_A_CONTAINER = Who(
    "root without CAP_SYS_ADMIN and user namespaces",
    ("setpriv", "--inh-caps=-all", f"--bounding-set=-all,{','.join(f'+{name}' for name in CONTAINER)}"),
    "/root/talon",
    "/root",
    namespaces=False,
)
CHROOTED = Who("root without user namespaces", (), "/root/talon", "/root", namespaces=False)


def mirror() -> str:
    """Where apt gets Debian from here; SetupError when it does not say."""
    targets = run(["apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI) $(CODENAME)", "Created-By: Packages"])
    found = [line.split()[1] for line in targets.splitlines() if len(line.split()) > 1]
    if not found:
        raise SetupError("apt-get indextargets names no mirror: run apt-get update")
    return found[0]


def build(suite: str, place: Path) -> float:
    """Make the system, once; seconds that it took. SetupError with debootstrap's words where it cannot be had."""
    began = time.monotonic()
    if shutil.which("debootstrap") is None:
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "debootstrap"]
        if not succeeds(install, {"DEBIAN_FRONTEND": "noninteractive"}):
            run(["apt-get", "update", "--quiet"])
            run(install, {"DEBIAN_FRONTEND": "noninteractive"})
    run(["debootstrap", "--variant=minbase", f"--include={INCLUDED}", suite, str(place), mirror()])
    tell(place)
    return time.monotonic() - began


def tell(place: Path) -> None:
    """Copy in what this machine is told of its network, and add the ordinary user."""
    files = ["/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf"]
    files += [os.environ[name] for name in VARIABLES if name in os.environ]
    files += [str(path) for path in Path("/etc/apt/apt.conf.d").glob("*") if "Acquire" in path.read_text()]
    for file in files:
        if Path(file).is_file():
            inside = place / file.lstrip("/")
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, inside)
    # an image has no lists of packages
    shutil.rmtree(place / "var" / "lib" / "apt" / "lists", ignore_errors=True)
    (place / "var" / "lib" / "apt" / "lists" / "partial").mkdir(parents=True)
    with (place / "etc" / "passwd").open("a") as accounts:
        accounts.write("anna:x:1000:1000::/home/anna:/bin/sh\n")


def check_out(place: Path, who: Who) -> None:
    """A copy of this checkout's sources where `who` has it, and belonging to whom."""
    target = place / who.checkout.lstrip("/")
    copy_sources(target)
    owner = next((int(part.partition("=")[2]) for part in who.prefix if part.startswith("--reuid=")), 0)
    top = place / who.home.lstrip("/") if owner and who.home else target
    for path in (top, *top.rglob("*")):
        os.chown(path, owner, owner, follow_symlinks=False)


def play_inside(place: Path, who: Who, command: list[str]) -> tuple[int, str]:
    """Run a command in the checkout inside, with the locale C and what the network needs."""
    how = "pivot" if who.namespaces else "chroot"
    inside = [*who.prefix, "sh", "-c", f'cd "{who.checkout}" && exec "$@"', "sh", *command]
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh", str(place), how]
    return play([*enter, *inside], place, {"LC_ALL": "C"} | ({"HOME": who.home} if who.home else {}))
