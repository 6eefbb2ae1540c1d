"""What pages pass on of a browser's request when they ask the API for it."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from talon.dashboard.api import ask

app = FastAPI()


@app.post("/told")
async def told(request: Request) -> dict[str, Any]:
    return {"told": [[name, value] for name, value in request.headers.items() if name != "host"]}


@app.post("/page")
async def page(request: Request) -> dict[str, Any]:
    return (await ask(request, "POST", "/told")).body


@pytest.mark.parametrize(
    ("name", "values"),
    [
        # a proxy may add a line of its own below the one that the client made up
        ("x-forwarded-for", ["192.0.2.1", "203.0.113.9"]),
        ("user-agent", ["Café"]),
    ],
)
async def test_every_line_is_passed_on_as_it_came(name: str, values: list[str]) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for value in values]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://talon.test") as http:
        if name != "user-agent":
            headers.append((b"user-agent", b"browser"))
        answer = await http.post("/page", headers=headers)
    assert [value for told_name, value in answer.json()["told"] if told_name == name] == values
