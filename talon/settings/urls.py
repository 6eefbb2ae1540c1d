"""Which URLs a variable may hold [pure]: as in `talon.settings.values`, ValueError says what it must be."""

import re
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from vault.networks.urls import HTTP, fault_of

_ENCODED = "with what is special in user and password percent-encoded (@ is %40)"
_POSTGRES = f"must be a URL like postgresql://user:password@host:5432/database, {_ENCODED}"
_REDIS = f"must be a URL like redis://user:password@host:6379/0, rediss:// or unix:///path, {_ENCODED}"
_SMTP = f"must be a URL like smtp://user:password@host:587 or smtps://, {_ENCODED}"


def endpoint(value: str) -> str:
    """An absolute http(s) URL with a host."""
    fault = fault_of(value, HTTP)
    if fault is not None:
        raise ValueError(fault)
    return value


def page(value: str) -> str:
    """The same without user, query and fragment: something is appended to it."""
    text = endpoint(value.strip())
    parts = urlsplit(text)
    if parts.query or parts.fragment or "@" in parts.netloc or text.endswith(("?", "#")):
        raise ValueError("must be a URL without user, query and fragment, like https://talon.example.org")
    return text


def issuers(values: tuple[str, ...]) -> tuple[str, ...]:
    """Identity providers, by the URL that their tokens name."""
    return tuple(page(value) for value in values)


def google_issuers(values: tuple[str, ...]) -> tuple[str, ...]:
    """The same; Google's tokens may also name a bare host."""
    return tuple(value if re.fullmatch(r"[A-Za-z0-9.-]+", value) else page(value) for value in values)


def postgres(value: str) -> str:
    """A PostgreSQL URL, in libpq's form or SQLAlchemy's."""
    text = value.strip()
    try:
        url = make_url(text)
        port = url.port or 5432
    except (ArgumentError, ValueError):
        raise ValueError(_POSTGRES) from None
    is_sound = re.fullmatch(r"postgres(ql)?(\+psycopg)?", url.drivername) and 0 < port < 65536
    # of a password with an @ the rest would be part of the host
    if not is_sound or any(char in (url.host or "") for char in "@ ") or not text.isprintable():
        raise ValueError(_POSTGRES)
    return text


def redis(value: str) -> str:
    """A Redis URL."""
    text = value.strip()
    if re.fullmatch(r"unix:///\S+", text):
        return text
    parts = _split(text, _REDIS)
    if parts.scheme not in {"redis", "rediss"} or not re.fullmatch(r"(/[0-9]*)?", parts.path) or parts.fragment:
        raise ValueError(_REDIS)
    return text


def smtp(value: str) -> str:
    """A mail server's URL."""
    text = value.strip()
    parts = _split(text, _SMTP)
    if parts.scheme not in {"smtp", "smtps"} or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(_SMTP)
    return text.removesuffix("/")


def _split(text: str, fault: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(fault) from None
    if not parts.hostname or port == 0 or any(char.isspace() or not char.isprintable() for char in text):
        raise ValueError(fault)
    return parts
