"""The HTTP application as tests need it: the real error handling and routers, without a network."""

from collections.abc import Sequence

import httpx
from fastapi import APIRouter, FastAPI

from vault import problems
from vault.context import Context


def make_app(context: Context, routers: Sequence[APIRouter]) -> FastAPI:
    """An application with these routers, wired as the product's own."""
    app = FastAPI(redirect_slashes=False, openapi_url=None)
    app.state.context = context
    problems.install(app)
    for router in routers:
        app.include_router(router)
    return app


def client(app: FastAPI, credential: str | None = None, peer: str = "203.0.113.9") -> httpx.AsyncClient:
    """An HTTP client of the application, presenting a token or key as Bearer if one is given."""
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    transport = httpx.ASGITransport(app=app, client=(peer, 40000))
    return httpx.AsyncClient(transport=transport, base_url="http://talon.test", headers=headers)
