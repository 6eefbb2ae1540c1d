"""The machine and the home: what Talon runs with, what it may touch, and whether there is room."""

import os
import shutil
import stat
import sys
from pathlib import Path

from anvil.chain import check_port, find_binary
from anvil.errors import AnvilError
from talon.children import why_not_separate
from talon.doctor.finding import Finding, fault, ok, warning
from talon.home import HomeError, HomeInUse, home_lock
from talon.layout import Layout
from talon.settings import Settings, SettingsError
from talon.start_checks import listen, look_at_files, read_pin, require_token
from talon.token import TokenError, find_module

LOW_DISK, NO_DISK = 1 << 30, 100 << 20


def is_running(layout: Layout) -> bool:
    """Whether somebody holds the home's lock; False too where it is not ours to look, which `home` says."""
    try:
        if not (layout.home / "lock").exists():
            return False
        with home_lock(layout.home, create=False):
            return False
    except HomeInUse:
        return True
    except (HomeError, OSError):
        return False


def set_up(settings: Settings) -> list[Finding]:
    """The interpreter, and the programs that are brought along."""
    found = [ok("python", f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}")]
    try:
        look_at_files(settings)
        if settings.pkcs11_module is None:
            find_module()
        if settings.anvil_port and settings.anvil_binary is None:
            find_binary()
    except (SettingsError, TokenError, AnvilError) as error:
        return [*found, fault("set-up", str(error), "see docs/starting.md")]
    return [*found, ok("set-up", "every program that is needed is there")]


def home(settings: Settings) -> list[Finding]:
    """Where the state is, who may read it, and how much room is left."""
    place = settings.home.absolute()
    if not place.exists():
        return [ok("home", f"{place} is not there yet: talon serve makes it")]
    if not place.is_dir():
        return [fault("home", f"{place} is no directory", "set TALON_HOME to a directory")]
    found = [ok("home", str(place))]
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        found = [fault("home", f"{place} is not this user's to write", "run this as the user that runs Talon")]
    elif stat.S_IMODE(place.stat().st_mode) & 0o077:
        found = [warning("home", f"{place} can be read by others", f"chmod 700 {place}")]
    free = shutil.disk_usage(place).free
    room = f"{free >> 20} MiB free"
    if free < NO_DISK:
        return [*found, fault("disk", room, "make room: PostgreSQL stops where there is none")]
    return [*found, warning("disk", room, "make room soon") if free < LOW_DISK else ok("disk", room)]


def ports(settings: Settings) -> list[Finding]:
    """Of a stopped instance: whether it could listen."""
    try:
        listen(settings.host, settings.port, 1).close()
        if settings.anvil_port:
            check_port(settings.anvil_port)
    except (SettingsError, AnvilError) as error:
        return [fault("ports", str(error), "ss -ltnp shows who listens; is it Talon, on another TALON_HOME?")]
    return [ok("ports", "free")]


def token(settings: Settings) -> list[Finding]:
    """The token's files; whether it takes the PIN is known once the signer runs."""
    if settings.pkcs11_pin_file is not None:
        return [_pin_file(settings.pkcs11_pin_file)]
    place = Layout(settings.home.absolute()).token
    if not place.exists():
        try:
            require_token(settings)
        except SettingsError as error:
            return [fault("token", str(error), "see docs/backup.md")]
        return [ok("token", "there is none yet: talon serve makes it")]
    pin, tokens = place / "pin", place / "tokens"
    if not os.access(place, os.R_OK | os.X_OK):
        return [warning("token", "its files are another user's", "run this as root, or as the user that runs Talon")]
    if not pin.is_file() or not tokens.is_dir() or not any(tokens.iterdir()):
        return [fault("token", f"{place} is not whole", "restore it from a back-up: without it no key can be loaded")]
    return [_pin_file(pin)]


def identities() -> list[Finding]:
    """Whether signer, API and chain are kept apart."""
    if os.geteuid() != 0:
        return [warning("uids", "not root, so all processes share one uid", "start Talon as root, see README.md")]
    if (reason := why_not_separate()) is not None:
        said = f"separate uids do not work here ({reason}), so all processes run as root"
        return [warning("uids", said, "let root mount in a namespace of its own (a container: CAP_SYS_ADMIN)")]
    return [ok("uids", "root: signer, API and chain get uids of their own")]


def _pin_file(path: Path) -> Finding:
    try:
        read_pin(path)
    except SettingsError as error:
        return fault("token", str(error), "put the token's PIN there")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return warning("token", "others may read the PIN file", f"chmod 600 {path}")
    return ok("token", "files and PIN are there, and nobody else's to read")
