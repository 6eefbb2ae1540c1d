"""The published document (/openapi.json): FastAPI's own, with who must log in and how every error looks."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from vault.auth.dependencies import caller

_BODY = {"application/json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
_ANY_PROBLEM = {
    "description": "The request was refused or could not be carried out.",
    "content": _BODY,
}
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})


def publish(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Have `app` answer /openapi.json with `document`; made once, on first use."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app, routers)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def document(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the application, whose routes are those of these routers."""
    made: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes, openapi_version="3.1.0"
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["securitySchemes"] = {"BearerAuth": {"type": "http", "scheme": "bearer"}}
    private = _private(routers)
    for path, item in made["paths"].items():
        for method, operation in item.items():
            if method not in _METHODS:
                continue
            # malformed requests are 400 here, with the same body as every other error
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            for status, answer in operation["responses"].items():
                if status >= "400" and "content" not in answer:
                    answer["content"] = _BODY
            operation["responses"]["default"] = _ANY_PROBLEM
            operation["security"] = [{"BearerAuth": []}] if (path, method) in private else []
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return made


def _private(routers: Sequence[APIRouter]) -> set[tuple[str, str]]:
    return {
        (route.path_format, method.lower())
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and _asks_who(route.dependant)
        for method in route.methods or ()
    }


def _asks_who(dependant: Dependant) -> bool:
    return any(each.call is caller or _asks_who(each) for each in dependant.dependencies)
