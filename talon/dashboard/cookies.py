"""The cookies: of a person's session, of a visit before that, and of a device that was known once."""

from fastapi import Request, Response

from vault.auth.cookie_names import cookie_name
from vault.context import Context

SESSION_HOURS = 12
VISIT_HOURS = 2


class Cookies:
    """Names and flags; over https both are bound to the host and never sent in the clear."""

    def __init__(self, context: Context) -> None:
        url = context.options.public_url
        self._secure = url.startswith("https://")
        self.session, self.visit = cookie_name(url, "session"), cookie_name(url, "visit")
        self.challenge, self.device = cookie_name(url, "challenge"), cookie_name(url, "device")

    def get(self, request: Request, name: str) -> str | None:
        """A cookie's value if it looks like one of ours."""
        value = request.cookies.get(name, "")
        return value if 20 <= len(value) <= 200 and value.isascii() else None

    def put(self, response: Response, name: str, value: str, seconds: int) -> None:
        """Set a cookie: unreadable for scripts, not sent with another site's forms."""
        # lax, not strict: a link in a mail opens our pages from elsewhere
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax"
        )

    def drop(self, response: Response, name: str) -> None:
        """Forget a cookie."""
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")
