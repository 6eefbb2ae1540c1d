"""The published document, held against real answers as a strict generated client would."""

import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from talon.app import create_app
from talon.config import ProcessConfig


@cache
def document() -> dict[str, Any]:
    """What the application publishes; `tests/flows/test_schema.py` sees that a running one answers the very same."""
    nowhere = ProcessConfig(
        database_url="postgresql+psycopg:///nowhere",
        signer_socket="/nowhere",
        public_url="http://nowhere",
        host="127.0.0.1",
        port=1,
        version="0",
        mail_from="nobody@talon.local",
        audit_head_seconds=60,
    )
    return create_app(nowhere).openapi()


def assert_declared(answer: httpx.Response) -> dict[str, Any]:
    """The answer's body, when the document declares it for this operation and status, with every member it has."""
    responses = _responses(answer.request.method, answer.request.url.raw_path.decode().split("?")[0])
    declared: Any = {"$ref": "#/components/schemas/ProblemDetails"}
    if responses is not None:
        content = responses.get(str(answer.status_code), responses["default"])["content"]
        declared = content["application/json"]["schema"]
    body: dict[str, Any] = answer.json()
    jsonschema_rs.validate({**declared, "components": document()["components"]}, body)
    return body


def _responses(method: str, path: str) -> Any:
    """Those of the operation behind a path, of several that fit the one with the fewest parameters; None if none."""
    fitting = [
        (template.count("{"), item[method.lower()]["responses"])
        for template, item in document()["paths"].items()
        if method.lower() in item and re.fullmatch(_pattern(template), path)
    ]
    return min(fitting, key=lambda each: each[0], default=(0, None))[1]


def _pattern(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: ".+" if name[1] == "path" else "[^/]+", template)
