"""What can be seen to be wrong before anything is started. Each is said in one sentence that names the variable."""

import errno
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

from talon.asking import FULL_BELOW, look_at_disk
from talon.database import DatabaseError, Urls, enter_all, require_writes
from talon.layout import Layout
from talon.settings import Settings, SettingsError

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0
MAX_PIN_BYTES = 4096


def look_at_files(settings: Settings) -> None:
    """The files that variables name are there and are what they should be; SettingsError."""
    if settings.pkcs11_pin_file is not None:
        read_pin(settings.pkcs11_pin_file)
    if settings.pkcs11_module is not None:
        _require_file("TALON_PKCS11_MODULE", Path(settings.pkcs11_module), "the HSM's PKCS#11 library")
    if settings.anvil_binary is not None:
        _require_file("TALON_ANVIL_BINARY", settings.anvil_binary, "the local chain's program")
        if not os.access(settings.anvil_binary, os.X_OK):
            raise SettingsError("TALON_ANVIL_BINARY names a file that may not be run")


def require_token(settings: Settings) -> None:
    """A database that was used needs the token that its keys were made in: a new one, which the start would make in
    its place, opens none of them; SettingsError."""
    home = Layout(settings.home.absolute())
    if settings.pkcs11_module is not None or settings.database_url is not None or home.token.exists():
        return
    if (home.postgres / "data" / "PG_VERSION").exists():
        raise SettingsError(
            f"TALON_HOME ({home.home}) has a database, but the token with its keys is gone ({home.token}): put it"
            " back, or restore a back-up; with an HSM of your own, set TALON_PKCS11_MODULE, _TOKEN and _PIN_FILE"
            " again"
        )


def read_pin(path: Path) -> str:
    """The HSM's PIN; SettingsError when there is none to be had."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError("TALON_PKCS11_PIN_FILE names something that is no file")
        pin = path.read_bytes()[:MAX_PIN_BYTES].decode().strip()
    except UnicodeDecodeError:
        raise SettingsError("TALON_PKCS11_PIN_FILE names a file that holds no text") from None
    except OSError as error:
        raise SettingsError(f"TALON_PKCS11_PIN_FILE names a file that cannot be read: {error.strerror}") from None
    if not pin:
        raise SettingsError("TALON_PKCS11_PIN_FILE names a file that is empty")
    return pin


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """The socket that the API listens on; SettingsError names the variable to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise SettingsError(_why_not_listening(host, port, error)) from None


def wait_for_disk(home: Path, say: Callable[[str], None]) -> None:
    """Return once the home's disk has room, without limit; one that is smaller than what we need is no such case."""
    pause_s, said = FIRST_PAUSE_S, None
    while (disk := look_at_disk(home)).reason is not None and disk.size >= FULL_BELOW:
        if disk.reason != said:
            said = disk.reason
            say(f"waiting: {said}")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, MAX_PAUSE_S)


def wait_for_database(urls: Urls, say: Callable[[str], None]) -> None:
    """Return once every role gets into the operator's own database.

    One that does not answer, or is read-only, is waited for without limit: it may start later than we do, or be a
    standby for a moment. DatabaseError for what waiting does not mend.
    """
    pause_s, said = FIRST_PAUSE_S, ""
    while True:
        try:
            enter_all(urls)
            return require_writes(urls.owner, "TALON_DATABASE_URL")
        except DatabaseError as error:
            if not error.may_pass:
                raise
            if str(error) != said:
                said = str(error)
                say(f"waiting: {said}")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _require_file(variable: str, path: Path, what: str) -> None:
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise SettingsError(f"{variable} must name {what}, but there is none: {error.strerror}") from None
    if not is_file:
        raise SettingsError(f"{variable} must name {what}, but what is there is no file")


def _why_not_listening(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"TALON_PORT: port {port} of {host} is taken; choose another, or stop what listens there"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"TALON_PORT: port {port} may not be listened on by this user; choose one above 1023"
    # Python adds the address once more, in brackets
    said = (error.strerror or type(error).__name__).partition(" (while")[0]
    return f"TALON_HOST: this machine cannot listen on {host}: {said}"
