"""Routes whose errors are pages too."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from talon.dashboard.render import page
from vault.errors import Problem, bad_request


class PageRoute(APIRoute):
    """Like every route, but a person reads what went wrong."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with problems rendered."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                answer = await handle(request)
            except Problem as problem:
                return _sorry(problem)
            except RequestValidationError:
                return _sorry(bad_request("This link is not complete; open it as it stands in the mail"))
            # what `talon.dashboard.api` was told
            if wait := getattr(request.state, "retry_after", None):
                answer.headers["Retry-After"] = wait
            return answer

        return shown


def _sorry(problem: Problem) -> Response:
    nothing: dict[str, Any] = {"lines": (), "fields": (), "buttons": (), "links": (), "action": "", "csrf": ""}
    shown = page(
        "form.html", status=problem.status, title=problem.title, problem=problem.detail, person="", **nothing
    )
    shown.headers.update(problem.headers)
    return shown
