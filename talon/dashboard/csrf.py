"""Forms that only our own pages can send: a token derived from a cookie that no other site can read."""

import hashlib
import hmac
import secrets
from typing import Final

from fastapi import Request

from vault.errors import forbidden

FIELD: Final = "csrf"
_LABEL = b"talon/csrf/v1"


def new_cookie() -> str:
    """A value for the cookie of somebody who is not signed in."""
    return secrets.token_urlsafe(32)


def token_of(cookie: str) -> str:
    """The form's token that belongs to a cookie (HMAC-SHA256, so that the form does not give the cookie away)."""
    return hmac.new(cookie.encode(), _LABEL, hashlib.sha256).hexdigest()


def check(request: Request, cookie: str | None, sent: str) -> None:
    """Raise 403 unless the form came from a page of ours that this very browser was shown."""
    # browsers say where a request comes from, and no page can make them lie; "none" is a person's own doing
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise forbidden("This form was sent from another site")
    # compared as bytes: text beyond ASCII would be an error here
    if cookie is None or not hmac.compare_digest(token_of(cookie).encode(), sent.encode()):
        raise forbidden("This form is no longer valid; go back, reload the page and try again")
