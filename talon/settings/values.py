"""What a variable may say, kind by kind [pure]: a value comes back as it is used, or ValueError says what it must be.

The text of the ValueError goes on a sentence that begins with the variable's name, and never repeats the value.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from email.utils import getaddresses
from ipaddress import ip_address
from pathlib import Path

from talon.settings.names import is_link
from vault.auth.client_address import parse_networks
from vault.auth.emails import parse_email
from vault.auth.password_rule import MAX_BYTES
from vault.errors import Problem

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
# RFC 1123, section 2.1; the underscore is what people have in names of containers
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
# RFC 9110, section 5.1: a field name is a token
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_LEVELS = ("debug", "info", "warning", "error")


def whole(lowest: int, highest: int) -> Callable[[object], int]:
    """A whole number between two others, both allowed."""

    def parse(value: object) -> int:
        if isinstance(value, str):
            text = value.strip()
            if is_link(text):
                raise ValueError(
                    "was set by the cluster, which tells of a service by that name, not by you: set"
                    " enableServiceLinks: false in the pod, or name the service otherwise"
                )
            value = int(text) if _WHOLE.fullmatch(text) else None
        if not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return value

    return parse


def amount(value: object) -> Decimal:
    """A decimal number of coins."""
    try:
        parsed = Decimal(str(value).strip())
    except InvalidOperation:
        parsed = Decimal("NaN")
    if not parsed.is_finite() or not 0 <= parsed <= 10**9:
        raise ValueError("must be a decimal number like 0.05, from 0 to 1000000000")
    return parsed


def host(value: str) -> str:
    """A name or an address of this machine, without a port."""
    text = value.strip()
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        # four numbers that are no address would be looked up as a name
        if not _HOST.fullmatch(text.lower()) or re.fullmatch(r"[0-9.]+", text):
            raise ValueError("must be an address or a host name, without a port (that is TALON_PORT)") from None
    return text


def path(value: object) -> Path:
    """A place on disk; `~` is the home directory, also where no shell saw it."""
    # SoftHSM's configuration is made of lines, and a file of settings from elsewhere may end its lines by CR LF
    if any(each < " " for each in str(value)):
        raise ValueError("has a character in it that cannot be seen, like the end of a line: take it out")
    try:
        str(value).encode()
    except UnicodeEncodeError:
        # bytes that are no text: it has to be written into files that others read
        raise ValueError("must be a path in UTF-8") from None
    try:
        return Path(str(value)).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, but there is no home directory to be found: write the whole path") from None


def module(value: str) -> str:
    """The whole path of a library: loaded by a process that runs elsewhere."""
    return str(path(value).absolute())


def epoch_directory(value: str) -> str:
    """A place outside the home, as a whole path, or `off`."""
    return value if value == "off" else str(path(value).absolute())


def networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and CIDR blocks."""
    try:
        parse_networks(values)
    except ValueError:
        raise ValueError("must be addresses or networks like 192.0.2.7,10.0.0.0/8") from None
    return values


def email(value: str) -> str:
    """One mail address."""
    try:
        parse_email(value)
    except Problem:
        raise ValueError("must be a mail address like ops@example.org") from None
    return value


def sender(value: str) -> str:
    """What stands in a mail's From line: one address, with a name or without."""
    found = getaddresses([value])
    try:
        if len(found) != 1 or not value.isprintable():
            raise ValueError
        email(found[0][1])
    except ValueError:
        raise ValueError("must be one sender like Talon <noreply@example.org>") from None
    return value


def password(value: str) -> str:
    """What the first human logs in with."""
    if len(value.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES} bytes")
    if not value.isprintable():
        raise ValueError("must be one line of printable characters")
    return value


def header(value: str) -> str:
    """The name of an HTTP header."""
    if not _HEADER.fullmatch(value.strip()):
        raise ValueError("must be the name of an HTTP header, like Client-Cert")
    return value.strip()


def words(values: tuple[str, ...]) -> tuple[str, ...]:
    """Names without blanks, separated by commas."""
    if any(char.isspace() or not char.isprintable() for value in values for char in value):
        raise ValueError("must be names without blanks, separated by commas")
    return values


def level(value: str) -> str:
    """From when on something is worth a line in the logs."""
    text = value.strip().lower()
    if text not in _LEVELS:
        raise ValueError(f"must be {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}")
    return text
