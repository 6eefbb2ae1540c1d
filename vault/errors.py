"""What can go wrong, typed: raised anywhere, translated to HTTP in `vault.problems` alone."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class Problem(Exception):  # noqa: N818 - the field's own word: RFC 9457 calls it a problem
    """An answer that is not a success (RFC 9457): `status`, a helpful `detail`, never internals, never a secret.

    `type` is `about:blank` unless clients tell this problem apart by it. `extra` holds further members of the
    body, `headers` further headers (Retry-After in whole seconds).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        type: str = "about:blank",  # noqa: A002 - RFC 9457's own member name
        title: str | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type
        self.title = title or HTTPStatus(status).phrase
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        base = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return {**base, **self.extra}


def bad_request(detail: str, **fields: str) -> Problem:
    """400: the request's shape or a value in it is wrong."""
    return Problem(400, detail, extra={"fields": fields} if fields else None)


def unauthorized(detail: str = "Invalid or expired token") -> Problem:
    """401: no credential, or one that does not count (any more)."""
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})


def forbidden(detail: str = "Insufficient permissions") -> Problem:
    """403: known, but not allowed."""
    return Problem(403, detail)


def not_found(detail: str = "Not found") -> Problem:
    """404: unknown, or of another organisation; the two cannot be told apart."""
    return Problem(404, detail)


def conflict(detail: str) -> Problem:
    """409: clashes with what exists or is in flight."""
    return Problem(409, detail)


def gone(detail: str) -> Problem:
    """410: was there, cannot be had any more."""
    return Problem(410, detail)


def unprocessable(detail: str, **extra: Any) -> Problem:
    """422: well formed, but cannot be carried out."""
    return Problem(422, detail, extra=extra)


def unavailable(detail: str, retry_after_s: int = 2) -> Problem:
    """503: a part we need is down; nothing was done, try again."""
    return Problem(503, detail, headers={"Retry-After": str(retry_after_s)})
