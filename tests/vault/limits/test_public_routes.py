"""No route that anybody may post to escapes the narrow limit."""

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from talon.app import ROUTERS
from vault.auth.dependencies import caller
from vault.limits.routes import limits_of


def asks_who_calls(dependant: Dependant) -> bool:
    return dependant.call is caller or any(asks_who_calls(each) for each in dependant.dependencies)


def test_whatever_needs_no_credential_is_limited() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in routes)
    open_to_all = {
        route.path
        for route in routes
        if isinstance(route, APIRoute) and "POST" in route.methods and not asks_who_calls(route.dependant)
    }
    assert "/v1/auth/token" in open_to_all
    assert [path for path in open_to_all if limits_of("POST", path) == ("ip",)] == []
