"""`talon restore FILE`: an instance out of its back-up, frozen until its administrator has looked."""

from pathlib import Path
from typing import Annotated

import psycopg
import typer
from sqlalchemy.exc import DBAPIError

from talon import epoch
from talon.backup.envelope import Key, is_locked_by_passphrase
from talon.backup.errors import BackupError, HalfRestoredError
from talon.backup.put_back import put_back
from talon.cli.outcome import CommandError, one_sentence
from talon.cli.passphrase import known_passphrase
from talon.cli.say import say
from talon.database import external
from talon.home import HomeInUse
from talon.settings import Settings

Source = Annotated[Path, typer.Argument(metavar="FILE", help="What talon backup made.")]
Identity = Annotated[
    Path | None, typer.Option(help="A file with the age secret key (AGE-SECRET-KEY-1…) that the back-up is for.")
]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="A file whose first line is the passphrase; asked for without it.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Take the place of a home that is there, which is kept beside it.")
]

SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how every such key begins
MAX_IDENTITY_BYTES = 1 << 16


def restore(
    file: Source, identity: Identity = None, passphrase_file: PassphraseFile = None, replace: Replace = False
) -> None:
    """Make TALON_HOME from a back-up; nothing is signed in it until it is opened (docs/backup.md)."""
    with one_sentence():
        settings = Settings.from_environment()
        home = settings.home.absolute()
        urls = external(settings)
        try:
            restored = put_back(
                file,
                key_for(file, identity, passphrase_file),
                home,
                replace=replace,
                external_url=None if urls is None else urls.owner,
                token_is_external=settings.pkcs11_module is not None,
                epochs=epoch.directory_of(settings, home, lambda _: None),
                say=say,
            )
        except HalfRestoredError as error:
            raise CommandError(
                f"{error}. The database of TALON_DATABASE_URL is filled: empty it, then restore again."
            ) from None
        except BackupError as error:
            raise CommandError(f"{error}. Nothing was changed.") from None
        except HomeInUse:
            raise CommandError(f"a Talon runs on {home}: stop it first. Nothing was changed.") from None
        except (DBAPIError, psycopg.Error) as error:
            raise CommandError(f"PostgreSQL does not take the data ({_code(error)}). Nothing was changed.") from None
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise CommandError(
                f"it cannot be restored: {error.strerror or type(error).__name__}{where}. Nothing was changed."
            ) from None
    say(f"restored instance {restored.manifest.instance_id} into {home}")
    if restored.aside is not None:
        say(f"what was there is kept in {restored.aside}")
    for each in restored.manifest.absent:
        say(f"not in the back-up: {each}")
    say("frozen: nothing is signed until it is opened; start it (talon serve), and go on as docs/backup.md says")


def key_for(file: Path, identity: Path | None, passphrase_file: Path | None) -> Key:
    """What opens this file, read or asked for as it needs."""
    with file.open("rb") as opened:
        by_passphrase = is_locked_by_passphrase(opened)
    if by_passphrase:
        if identity is not None and passphrase_file is None:
            raise CommandError("this back-up is under a passphrase, not for a key: leave --identity out")
        return Key(passphrase=known_passphrase(passphrase_file))
    if identity is None:
        raise CommandError("this back-up is for a key: name the file with its secret half (--identity)")
    with identity.open("rb") as opened:
        lines = opened.read(MAX_IDENTITY_BYTES).decode(errors="replace").splitlines()
    # age-keygen writes the public half beside it, and people do
    found = tuple(line.strip() for line in lines if line.strip().startswith(SECRET))
    if not found:
        raise CommandError(f"{identity} holds no age secret key ({SECRET}…)")
    return Key(identities=found)


def _code(error: DBAPIError | psycopg.Error) -> str:
    found = error.orig if isinstance(error, DBAPIError) else error
    # never its text: that may quote a row
    state = getattr(found, "sqlstate", None)
    return f"SQLSTATE {state}" if state else type(found).__name__
