"""One step of the set-up: a program that runs to its end in bounded time, and what is said when it fails."""

import errno
import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from talon.bootstrap.environment import inherited
from talon.bootstrap.places import ROOT, TOOLS

STEP_TIMEOUT_S = 900
MAX_SAID = 1500

# how the tools say it, in small letters, and how we do
FULL = ("no space left", "disk quota exceeded")
UNTRUSTED = ("certificate verify failed", "certificate_verify_failed", "unknownissuer", "invalid peer certificate")
UNREACHED = (
    "name resolution",
    "name or service not known",
    "dns error",
    "failed to lookup address",
    "network is unreachable",
    "connection refused",
    "could not resolve",
    "failure resolving",
)
NO_BUILD = ("wheel for the current platform", "no matching distribution", "no wheels with a matching")
REASONS = (
    (FULL, "the disk is full (the set-up needs some 500 MB in the checkout)"),
    (UNTRUSTED, "a registry's certificate is not trusted (behind a company's proxy set SSL_CERT_FILE)"),
    (UNREACHED, "a package registry cannot be reached (the first set-up needs the network, or HTTPS_PROXY)"),
    (
        NO_BUILD,
        "a package has no build for this machine (there are some for x86-64 and ARM64 with glibc 2.28 or newer)",
    ),
)


class SetupError(Exception):
    """Something is missing that cannot be installed from here; the text says what to do."""


def run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a step and return what it printed; SetupError with the end of what it said when it fails."""
    done = attempt(command, environment or {}, ROOT)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-MAX_SAID:]
        if found := reason(said):
            raise SetupError(f"{found}; {Path(command[0]).name} says: {said.splitlines()[-1].strip()}")
        raise SetupError(f"this failed: {' '.join(command)}\n{said}")
    return done.stdout


def succeeds(command: list[str], environment: Mapping[str, str] | None = None, directory: Path = ROOT) -> bool:
    """Run a step that may fail."""
    return attempt(command, environment or {}, directory).returncode == 0


def attempt(command: list[str], environment: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a step to its end, in bounded time; `environment` is added to what we inherit."""
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env={**inherited(), **environment},
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"{type(error).__name__}: {error}")


def reason(said: str) -> str:
    """What most likely lies behind a failure, in a sentence; empty when we do not know it."""
    said = said.lower()
    for signs, sentence in REASONS:
        if any(sign in said for sign in signs):
            return sentence
    return ""


def explain(error: OSError) -> str:
    """A failed write of our own, in words."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return reason(FULL[0])
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"{error.filename or ROOT} cannot be written ({error.strerror}): run as whoever owns the checkout"
    return f"{error.filename or ''} {error.strerror or error}".strip()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two makes in one checkout wait for each other."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as file:
        deadline = time.monotonic() + STEP_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupError("another set-up runs in this checkout and does not end") from None
                time.sleep(0.2)
        yield


def say(line: str) -> None:
    """Progress, at once."""
    sys.stderr.write(f"set-up: {line}\n")
    sys.stderr.flush()
