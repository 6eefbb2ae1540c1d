"""SoftHSM2, which only the system has: where it is, and how to get it without being root."""

import shutil
import sys
from pathlib import Path

from talon.bootstrap.places import TOOLS
from talon.bootstrap.steps import SetupError, attempt, run, say, succeeds

PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
HINT = "please install SoftHSM2 (Debian: sudo apt-get install softhsm2; Fedora: sudo dnf install softhsm)"


def find_softhsm() -> str | None:
    """Where the SoftHSM2 library is: what we unpacked ourselves, else the system's."""
    own = sorted(str(path) for path in TOOLS.glob("usr/lib/*/softhsm/libsofthsm2.so"))
    return next((place for place in (*own, *PLACES) if Path(place).exists()), None)


def unpack_softhsm() -> None:
    """Without root: download Debian's package and unpack it here. SetupError where there is no Debian."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SetupError(HINT)
    say("unpacking SoftHSM2 into .tools (not root, so nothing is installed)")
    archive = TOOLS / "deb"
    archive.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "--quiet", "libsofthsm2"]
    if not succeeds(download, directory=archive):
        # a fresh machine has no lists of packages yet, and the system's are not ours to fetch
        own = lists_of_our_own()
        update = ["apt-get", *own, "update", "--quiet"]
        done = attempt(update, {}, archive)
        if done.returncode == 0:
            done = attempt(["apt-get", *own, *download[1:]], {}, archive)
        if done.returncode != 0:
            raise SetupError(f"{HINT}\n{done.stderr.strip()[-500:]}")
        shutil.rmtree(TOOLS / "apt", ignore_errors=True)
    fresh = TOOLS / "deb.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for package in archive.glob("libsofthsm2_*.deb"):
        run(["dpkg-deb", "-x", str(package), str(fresh)])
    # by a rename, so that half a library is not found for ever after
    shutil.rmtree(TOOLS / "usr", ignore_errors=True)
    if (fresh / "usr").is_dir():
        (fresh / "usr").rename(TOOLS / "usr")
    shutil.rmtree(fresh, ignore_errors=True)
    found = find_softhsm()
    load = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    if not found or not succeeds([sys.executable, "-I", "-c", load, found]):
        raise SetupError(HINT)


def lists_of_our_own() -> list[str]:
    """Options that make apt keep its lists below .tools, from the sources that the system names."""
    state, cache = TOOLS / "apt" / "state", TOOLS / "apt" / "cache"
    for directory in (state / "lists" / "partial", cache / "archives" / "partial"):
        directory.mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State={state}", "-o", f"Dir::State::Lists={state / 'lists'}", "-o", f"Dir::Cache={cache}"]
