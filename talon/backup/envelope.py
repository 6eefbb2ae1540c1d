"""The encryption around a back-up: the age format, by pyrage, to a recipient's key or under a passphrase.

A file is one line that says how it is locked, and an age file (age-encryption.org/v1), which holds a tar. Under a
passphrase the age file is for a key made for it alone, and that key is in the first line, locked by the library under
the passphrase; so nothing is ever held in memory as a whole.
"""

import base64
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyrage

from talon.backup.errors import BackupError

MAGIC = "talon-backup"
MAX_HEADER_BYTES = 16_384
DAMAGED = "this back-up is cut short or damaged"


@dataclass(frozen=True)
class Lock:
    """How a back-up is locked: for an age recipient (`age1…`), or under a passphrase."""

    recipient: str | None = None
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Key:
    """What opens a back-up: age identities (`AGE-SECRET-KEY-1…`), or a passphrase, asked for when it is needed."""

    identities: tuple[str, ...] = field(default=(), repr=False)
    passphrase: str | None = field(default=None, repr=False)


def recipient_of(text: str) -> Any:
    """An age recipient; BackupError for anything else."""
    try:
        return pyrage.x25519.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise BackupError("the recipient is no age public key (age1…)") from None


def identity_of(text: str) -> Any:
    """An age identity; BackupError for anything else."""
    try:
        return pyrage.x25519.Identity.from_str(text.strip())
    except pyrage.IdentityError:
        raise BackupError("the identity file holds no age secret key (AGE-SECRET-KEY-1…)") from None


def is_locked_by_passphrase(file: BinaryIO) -> bool:
    """Look at the first line of a back-up and go back; BackupError when this is none."""
    header = _header(file)
    file.seek(0)
    return "identity" in header


@contextmanager
def sealing(file: BinaryIO, lock: Lock) -> Iterator[BinaryIO]:
    """A stream whose bytes arrive encrypted in `file`; complete when the block ends without an exception."""
    header: dict[str, str] = {"format": MAGIC, "locked": "recipient"}
    if lock.recipient is not None:
        recipient = recipient_of(lock.recipient)
    else:
        assert lock.passphrase is not None
        identity = pyrage.x25519.Identity.generate()
        recipient = identity.to_public()
        wrapped = pyrage.passphrase.encrypt(str(identity).encode(), lock.passphrase)
        header |= {"locked": "passphrase", "identity": base64.b64encode(wrapped).decode()}
    file.write(json.dumps(header).encode() + b"\n")
    target = _Target(file)
    with _pipe(lambda source: pyrage.encrypt_io(source, target, [recipient]), target) as stream:
        yield stream


@contextmanager
def opening(file: BinaryIO, key: Key) -> Iterator[BinaryIO]:
    """A stream of what is in a back-up. BackupError for a wrong key at once, for a damaged file when it is met.

    Whatever was read before is what was written: the format authenticates every piece before it gives it away.
    """
    identities = _identities(_header(file), key)
    reading, writing = os.pipe()
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            # closing flushes, to where nobody may be reading any more
            with os.fdopen(writing, "wb") as out:
                pyrage.decrypt_io(file, out, identities)
        except (OSError, pyrage.DecryptError) as error:
            trouble.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    source = _Source(os.fdopen(reading, "rb"), thread, trouble)
    try:
        yield io.BufferedReader(source, 1 << 16)
    finally:
        source.end()


def _header(file: BinaryIO) -> dict[str, str]:
    line = file.readline(MAX_HEADER_BYTES)
    try:
        header = json.loads(line)
        if header["format"] != MAGIC:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        short = f'{{"format": "{MAGIC}"'.encode().startswith(line[:10]) or not line.endswith(b"\n")
        raise BackupError(DAMAGED if short and line[:1] == b"{" else "this is no back-up of Talon's") from None
    return dict(header)


def _identities(header: dict[str, str], key: Key) -> list[Any]:
    if "identity" not in header:
        if not key.identities:
            raise BackupError("this back-up is for a key: name the file with its secret half (--identity)")
        return [identity_of(each) for each in key.identities]
    if key.passphrase is None:
        raise BackupError("this back-up is locked under a passphrase")
    try:
        opened = pyrage.passphrase.decrypt(base64.b64decode(header["identity"]), key.passphrase)
        return [identity_of(opened.decode())]
    except pyrage.DecryptError:
        raise BackupError("this is not the passphrase of this back-up") from None
    except (ValueError, TypeError):
        raise BackupError(DAMAGED) from None


class _Target(io.RawIOBase):
    """Where encrypted bytes go. It keeps what went wrong, which the library swallows."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.trouble: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.trouble is not None:
            raise self.trouble
        try:
            return self._file.write(data)
        except OSError as error:
            self.trouble = error
            raise


@contextmanager
def _pipe(work: Any, target: _Target) -> Iterator[BinaryIO]:
    """A stream that a thread reads from and encrypts."""
    reading, writing = os.pipe()
    trouble: list[Exception] = []

    def run() -> None:
        with os.fdopen(reading, "rb") as source:
            try:
                work(source)
            except (OSError, pyrage.EncryptError) as error:
                trouble.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    stream = os.fdopen(writing, "wb", 1 << 16)
    broken: list[Exception] = []
    try:
        yield stream
        stream.close()
    except BrokenPipeError as error:
        # its reader went away: what that met comes first
        broken.append(error)
    finally:
        with suppress(BrokenPipeError):
            stream.close()
        thread.join()
    for each in (target.trouble, *trouble, *broken):
        if each is not None:
            raise each


class _Source(io.RawIOBase):
    """The reading end of the pipe that decrypted bytes come out of; at its end it tells what the thread met."""

    def __init__(self, pipe: BinaryIO, thread: threading.Thread, trouble: list[BaseException]) -> None:
        self._pipe, self._thread, self._trouble = pipe, thread, trouble

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._pipe.readinto(buffer)  # type: ignore[attr-defined]  # it is buffered
        if count == 0:
            self._thread.join()
            for error in self._trouble:
                if isinstance(error, pyrage.DecryptError) and "matching keys" in str(error):
                    raise BackupError("none of these keys opens this back-up")
                raise BackupError(DAMAGED)
        return int(count)

    def end(self) -> None:
        """Read no further: the thread, should it still write, finds nobody there."""
        self._pipe.close()
        self._thread.join()
