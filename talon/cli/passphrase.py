"""Passphrases come from a terminal or a file, never from the command line, which every user of the machine sees."""

import getpass
import sys
from pathlib import Path

from talon.cli.outcome import CommandError

MIN_CHARS = 12
MAX_CHARS = 1_024


def new_passphrase(file: Path | None) -> str:
    """One to lock a back-up with: it holds every key that a SoftHSM token has, so it may not be short."""
    passphrase = known_passphrase(file)
    if len(passphrase) < MIN_CHARS:
        raise CommandError(f"the passphrase is too short: at least {MIN_CHARS} characters")
    if file is None and getpass.getpass("the same again: ") != passphrase:
        raise CommandError("the two are not the same")
    return passphrase


def known_passphrase(file: Path | None) -> str:
    """The first line of a file (which may be a pipe, /dev/fd/3), or what is typed; CommandError without either."""
    if file is not None:
        try:
            with file.open() as opened:
                passphrase = opened.readline(MAX_CHARS + 2).rstrip("\n")
        except OSError as error:
            raise CommandError(f"the passphrase file {file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise CommandError(f"the passphrase file {file} cannot be read: it holds no text") from None
    elif sys.stdin.isatty():
        passphrase = getpass.getpass("passphrase of the back-up: ")
    else:
        raise CommandError("there is no terminal to ask for the passphrase: use --passphrase-file, or a key")
    if not passphrase or len(passphrase) > MAX_CHARS:
        raise CommandError(f"the passphrase is empty, or longer than {MAX_CHARS} characters")
    return passphrase
