"""The one place where errors become HTTP answers (RFC 9457 members, content type application/json)."""

import traceback
from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chains.errors import BadNonce, ChainsError, NoEndpoint, RpcError, RpcRefused
from chains.refusals import without_addresses
from signer.errors import (
    ApprovalRefused,
    DatabaseRefuses,
    InvalidKey,
    KeyNotFound,
    SealBroken,
    SignerError,
    SignerUnavailable,
    TokenTooLarge,
)
from vault.body_limit import BodyLimit
from vault.errors import Problem, bad_request, conflict, not_found, unavailable, unprocessable
from vault.trouble import INTERNAL, sqlstate, trouble
from vault.wording import wording

MAX_REPORTED_ERRORS = 20

log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Give the application its error answers, its body limit and its last resort for the unexpected."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(SignerError, _answer_signer)
    app.add_exception_handler(ChainsError, _answer_chains)
    app.add_exception_handler(DBAPIError, _answer_database)
    app.add_exception_handler(PoolTimeoutError, _answer_pool)
    app.add_middleware(LastResort)
    app.add_middleware(BodyLimit)


def render(problem: Problem) -> JSONResponse:
    """The answer that a problem stands for."""
    return JSONResponse(problem.body(), status_code=problem.status, headers=problem.headers)


class LastResort:
    """ASGI middleware: whatever nobody expected is logged without its message and answered with a bare 500.

    The message is left out because it may quote a value (a driver's error quotes the row); the frames say where.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            log_unexpected(error, scope.get("path", ""))
            if started:
                raise
            await render(Problem(500, "An unexpected error occurred"))(scope, receive, send)


def log_unexpected(error: Exception, path: str) -> None:
    """Record an unexpected error: its type and frames, never its message."""
    frames = traceback.extract_tb(error.__traceback__)[-12:]
    log.error(
        "unexpected error",
        error=type(error).__qualname__,
        path=path,
        frames=[f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in frames],
    )


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return render(error)


async def _answer_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return render(describe(error.errors()))


def describe(errors: Sequence[Any]) -> Problem:
    """400 in one sentence per fault plus a `fields` map; the refused values themselves are never repeated."""
    fields: dict[str, str] = {}
    for fault in errors[:MAX_REPORTED_ERRORS]:
        where = ".".join(str(part) for part in fault["loc"] if part not in ("body", "query", "path", "header"))
        fields.setdefault(where or "body", wording(fault))
    detail = "; ".join(f"{where}: {wording}" for where, wording in fields.items())
    return bad_request(detail, **fields)


async def _answer_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return render(Problem(error.status_code, str(error.detail), headers=error.headers))


async def _answer_signer(request: Request, error: Exception) -> Response:
    if isinstance(error, DatabaseRefuses):
        return render(unavailable(f"{error}; nothing was done, try again."))
    if isinstance(error, SignerUnavailable):
        return render(unavailable("The signer is not available at the moment"))
    if isinstance(error, KeyNotFound):
        return render(not_found("No such signing key"))
    if isinstance(error, InvalidKey):
        return render(bad_request("The value is not a valid private key"))
    if isinstance(error, ApprovalRefused):
        return render(conflict("The signer refused this approval; nothing was signed"))
    if isinstance(error, SealBroken):
        return render(conflict("A stored value was altered or moved and does not open"))
    if isinstance(error, TokenTooLarge):
        return render(unprocessable("There are too many scopes and vaults for a token: narrow them, or use the key"))
    log_unexpected(error, request.url.path)
    return render(Problem(500, "An unexpected error occurred"))


async def _answer_chains(_: Request, error: Exception) -> Response:
    if isinstance(error, RpcError):
        if isinstance(error, NoEndpoint):
            return render(unavailable(f"There is {error}; the operator names one", retry_after_s=60))
        # the text says what each endpoint said, and where it was made already not where that is: a second lock on it
        said = without_addresses(str(error))
        if isinstance(error, RpcRefused):
            return render(unavailable(f"The chain's node refuses to answer: {said}"))
        return render(unavailable(f"{said[:1].upper()}{said[1:]}; nothing was done, try again."))
    if isinstance(error, BadNonce):
        return render(unprocessable(str(error)))
    return render(bad_request(str(error)))


async def _answer_database(request: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError)
    wrong = trouble(error)
    if wrong is None or sqlstate(error).startswith(INTERNAL):
        log_unexpected(error, request.url.path)
    if wrong is None:
        return render(Problem(500, "An unexpected error occurred"))
    return render(unavailable(f"{wrong}; nothing was done, try again."))


async def _answer_pool(_: Request, __: Exception) -> Response:
    return render(unavailable("Too many requests wait for the database"))
