"""Structured logs, one JSON object per line on standard error, that cannot print a secret.

Two nets: values under a secret's name are dropped, and whatever looks like a credential is masked in every text,
also in those of exceptions. Transaction hashes and addresses stay readable.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

MASK = "***"
MAX_DEPTH = 8

SECRET_NAMES = frozenset(
    {
        "authorization",
        "proxy_authorization",
        "cookie",
        "set_cookie",
        "x_api_key",
        "api_key",
        "apikey",
        "password",
        "passphrase",
        "new_password",
        "current_password",
        "pin",
        "so_pin",
        "user_pin",
        "token",
        "access_token",
        "refresh_token",
        "agent_token",
        "secret",
        "client_secret",
        "private_key",
        "privatekey",
        "seed",
        "mnemonic",
        "value",
        "plaintext",
        "cleartext",
        "signed_tx",
        "raw_tx",
        "raw_transaction",
        "raw",
        "signed_transaction",
        "database_url",
        "redis_url",
        "smtp_url",
        "credentials",
    }
)
SECRET_SUFFIXES = (
    "_password", "_passphrase", "_secret", "_token", "_pin", "_api_key", "_private_key", "_credentials", "_cookie"
)  # fmt: skip

PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # statement parameters and rows, as SQLAlchemy and PostgreSQL add them to their messages
    (re.compile(r"\[parameters: .*", re.DOTALL), "[parameters: ***]"),
    (re.compile(r"(Key \([^)]*\)=)\(.*?\)"), r"\1(***)"),
    (re.compile(r"Failing row contains \(.*", re.DOTALL), "Failing row contains (***)"),
    (re.compile(r"\b(ocv|1ck)_[A-Za-z0-9_-]+"), r"\1_***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), "***"),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"',]+", re.IGNORECASE), r"\1 ***"),
    (
        re.compile(r"\b(password|passphrase|passwd|pin|token|secret|api[_-]?key)(\"?'?\s*[:=]\s*)[^\s,;&}\]]+", re.I),
        r"\1\2***",
    ),
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://***@"),
    # an operator's key in the path or query of an endpoint
    (re.compile(r"((?:https?|wss?)://[^/\s\"']+)/[^\s\"',)]*[A-Za-z0-9_-]{16,}[^\s\"',)]*"), r"\1/***"),
    (re.compile(r"(?i)(key|seed|secret)([^0-9a-f]{1,20}?)(0x)?[0-9a-f]{64}\b"), r"\1\2***"),
    # longer than any hash or address: a signed transaction or a blob
    (re.compile(r"(?:0x)?[0-9a-fA-F]{130,}"), "***"),
)  # fmt: skip


def redact(value: Any, depth: int = 0) -> Any:
    """The same value with every credential masked; bytes become their length, unknown objects their masked text."""
    if depth > MAX_DEPTH:
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(k): MASK if is_secret_name(str(k)) else redact(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in value]
    return redact_text(str(value))


def redact_text(text: str) -> str:
    """Mask what looks like a credential."""
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, whatever its value looks like."""
    plain = name.lower().replace("-", "_")
    return plain in SECRET_NAMES or plain.endswith(SECRET_SUFFIXES)


def redaction(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor: the last one before the text is made."""
    for name in list(event):
        if name not in {"_record", "_from_structlog"}:
            event[name] = MASK if is_secret_name(name) else redact(event[name])
    return event


def configure(level: str = "info") -> None:
    """Send every log record of the process, structlog's and the standard library's, through the redaction."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redaction,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # they say every request and query, at a level that would drown the rest
    for chatty in ("httpx", "httpcore", "aiohttp.access", "alembic", "sqlalchemy.engine"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    sys.excepthook = log_uncaught


def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The last words of a process go through the redaction too."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("talon").critical("uncaught exception", exc_info=(kind, error, trace))
