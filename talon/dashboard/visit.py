"""Who is looking at a page, and what every page needs to know of that."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse

from talon.dashboard import csrf
from talon.dashboard.cookies import VISIT_HOURS, Cookies
from talon.dashboard.render import page
from vault.auth.authenticate import authenticator_of
from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import Problem

MAX_FORM_BYTES = 64 * 1024
MAX_FORM_FIELDS = 50


@dataclass(frozen=True)
class Visit:
    """One request for a page: the person if one is signed in, and the cookie that its forms are bound to."""

    request: Request
    context: Context
    cookies: Cookies
    person: Caller | None
    cookie: str
    is_new: bool

    def show(self, title: str, *, status: int = 200, problem: str = "", **values: Any) -> HTMLResponse:
        """A page with a form or a message, for this visitor."""
        given = {"lines": (), "fields": (), "buttons": (), "links": (), "action": self.request.url.path, **values}
        response = page(
            "form.html",
            status=status,
            title=title,
            problem=problem,
            person="" if self.person is None else "(signed in)",
            csrf=csrf.token_of(self.cookie),
            **given,
        )
        if self.is_new:
            self.cookies.put(response, self.cookies.visit, self.cookie, VISIT_HOURS * 3600)
        return response

    async def form(self) -> dict[str, str]:
        """The fields of a form of ours that was sent; 403 for anybody else's, 400 for what is no form."""
        body = await self.request.body()
        if len(body) > MAX_FORM_BYTES:
            raise Problem(413, "The form is too large")
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS))
        except ValueError:
            raise Problem(400, "That is not a form of ours") from None
        csrf.check(self.request, None if self.is_new else self.cookie, fields.get(csrf.FIELD, ""))
        return fields


async def visit(request: Request) -> Visit:
    """FastAPI dependency: looks up the session, and gives newcomers a cookie for their forms."""
    context: Context = request.app.state.context
    cookies = Cookies(context)
    session = cookies.get(request, cookies.session)
    if session is not None:
        person = await authenticator_of(request).visitor(request, session)
        if person is not None:
            return Visit(request, context, cookies, person, session, is_new=False)
    known = cookies.get(request, cookies.visit)
    return Visit(request, context, cookies, None, known or csrf.new_cookie(), is_new=known is None)
