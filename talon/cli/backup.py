"""`talon backup FILE`: the whole instance in one encrypted file, while it runs or not."""

from pathlib import Path
from typing import Annotated

import psycopg
import typer

from talon import epoch
from talon.backup.envelope import Lock
from talon.backup.errors import BackupError
from talon.backup.make import make
from talon.backup.sizes import shown
from talon.cli.database import opened
from talon.cli.outcome import CommandError, one_sentence
from talon.cli.passphrase import new_passphrase
from talon.cli.say import say
from talon.settings import Settings

Target = Annotated[Path, typer.Argument(metavar="FILE", help="The file to make; none may have its name.")]
Recipient = Annotated[str | None, typer.Option(help="An age public key (age1…) whose secret half opens the file.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="A file whose first line is the passphrase; asked for without it.")
]


def backup(file: Target, recipient: Recipient = None, passphrase_file: PassphraseFile = None) -> None:
    """Put database, token and local chain into one encrypted file, which appears when it is whole."""
    with one_sentence():
        if recipient is not None and passphrase_file is not None:
            raise CommandError("a back-up is for a key or under a passphrase: choose one")
        settings = Settings.from_environment()
        lock = Lock(recipient=recipient) if recipient else Lock(passphrase=new_passphrase(passphrase_file))
        with opened(settings) as access:
            try:
                made = make(
                    file.absolute(),
                    lock,
                    owner_url=access.urls.owner,
                    layout=access.layout,
                    epochs=epoch.directory_of(settings, access.layout.home, lambda _: None),
                    absent=absent(settings),
                    say=say,
                )
            except BackupError as error:
                raise CommandError(str(error)) from None
            except psycopg.Error as error:
                raise CommandError(f"the database cannot be read: {first_line(error)}") from None
            except OSError as error:
                raise CommandError(f"{file} cannot be made: {error.strerror or type(error).__name__}") from None
    manifest = made.manifest
    say(f"made {file}: instance {manifest.instance_id} at epoch {manifest.epoch}, {shown(made.size)}")
    for each in manifest.absent:
        say(f"not in it: {each}")


def absent(settings: Settings) -> list[str]:
    """What lies elsewhere, each with what saves it."""
    found = ["the settings (TALON_… variables)"]
    if settings.pkcs11_module is not None:
        found.append("the keys of the HSM, which has back-ups of its own: without them this file opens no key")
    return found


def first_line(error: psycopg.Error) -> str:
    """What the server or the driver says, without a statement or a row."""
    said = error.diag.message_primary or str(error)
    return (said.strip().splitlines() or [type(error).__name__])[0]
