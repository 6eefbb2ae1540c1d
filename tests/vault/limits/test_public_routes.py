"""No route that anybody may post to escapes the narrow limit, be it by a page."""

import re
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import talon.dashboard
from talon.app import PAGES, ROUTERS
from vault.auth.dependencies import caller
from vault.limits.routes import limits_of

DASHBOARD = Path(talon.dashboard.__file__).parent
# what pages' forms ask the API for, and are counted by; a new page's line belongs here (which page asks for which is
# not checked, only that nothing else is asked for)
ASKS_FOR = {
    "/login": "/v1/auth/token",
    "/login/code": "/v1/auth/mfa/verify",
    "/signup": "/v1/auth/signup",
    "/verify-email": "/v1/auth/verify-email",
    "/forgot-password": "/v1/auth/forgot-password",
    "/reset-password": "/v1/auth/reset-password",
    "/know-device": "/v1/auth/know-device",
    # for people who are signed in, and with a lock-out of its own
    "/cli/verify": "/v1/auth/device/{verb}",
    "/invite": "/v1/org/invitations/accept",
    # nothing: it ends the session that its cookie names
    "/logout": None,
}


def posts(routers: Sequence[APIRouter]) -> dict[str, APIRoute]:
    routes = [route for router in routers for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in routes)
    return {route.path: route for route in routes if isinstance(route, APIRoute) and "POST" in (route.methods or ())}


def asks_who_calls(dependant: Dependant) -> bool:
    return dependant.call is caller or any(asks_who_calls(each) for each in dependant.dependencies)


def test_whatever_needs_no_credential_is_limited() -> None:
    open_to_all = {path for path, route in posts(ROUTERS).items() if not asks_who_calls(route.dependant)}
    assert "/v1/auth/token" in open_to_all
    assert [path for path in open_to_all if limits_of("POST", path) == ("ip",)] == []


def test_whatever_a_page_asks_for_is_limited_or_needs_a_credential() -> None:
    assert posts(PAGES).keys() == ASKS_FOR.keys()
    written = {path for file in DASHBOARD.glob("*.py") for path in re.findall(r'"(/v1/[^"]+)"', file.read_text())}
    assert written == {path for path in ASKS_FOR.values() if path is not None}
    for pattern in written:
        asked = {
            path: route
            for path, route in posts(ROUTERS).items()
            if re.fullmatch(pattern.replace("{verb}", "(approve|deny)"), path)
        }
        assert asked, pattern
        for path, route in asked.items():
            assert asks_who_calls(route.dependant) or limits_of("POST", path) != ("ip",), path
