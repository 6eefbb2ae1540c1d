"""ASGI middleware before everything that costs something: too many requests of one client are answered 429."""

from collections import Counter
from typing import cast

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vault.auth.authenticate import ON_PROOF, Authenticator, authenticator_of
from vault.auth.client_address import group_of
from vault.context import Context
from vault.errors import Problem
from vault.limits.hit import hit
from vault.limits.routes import limits_of
from vault.limits.whom import Whom
from vault.metrics import counts
from vault.problems import render

# of one principal in one process: more than its submissions that wait for one wallet, far fewer than the connections
# of its address, which are others' too
AT_ONCE = 256


class RateLimit:
    """Counts every request of a client, or of a principal that we know, against the limits of its route, and how many
    of a principal are being served; until its credential has counted, how many present this one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._served: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seat = _Seat(self._served)
        try:
            name = await _count(Request(scope))
            if name is not None:
                seat.take(name)
                scope[ON_PROOF] = seat.take
        except Problem as problem:
            await render(problem)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            seat.leave()


class _Seat:
    """Under which name one request is counted while it is served."""

    def __init__(self, served: Counter[str]) -> None:
        self._served = served
        self._name: str | None = None

    def take(self, name: str) -> None:
        """Count it under this name, no longer under the one before; Problem 429 when there are too many already."""
        if name == self._name:
            return
        if self._served[name] >= AT_ONCE:
            counts.denied("rate_limit", "at_once")
            raise Problem(
                429,
                f"{AT_ONCE} requests of yours are being served; wait for an answer, or try again in 1 second",
                headers={"Retry-After": "1"},
            )
        self.leave()
        self._served[name] += 1
        self._name = name

    def leave(self) -> None:
        """Count it no longer."""
        if self._name is None:
            return
        self._served[self._name] -= 1
        if not self._served[self._name]:
            del self._served[self._name]
        self._name = None


async def _count(request: Request) -> str | None:
    """The principal that it counted against, else a name for the credential; None where there is neither."""
    names = limits_of(request.method, request.url.path)
    if not names:
        return None
    context = cast(Context, request.app.state.context)
    authenticator = authenticator_of(request)
    client = group_of(authenticator.address(request))
    whom = _whom_of(request, context, authenticator)
    principal = await _count_widely(request, context, names[0], client, whom)
    for name in names[1:]:
        # each route by itself: a flood of one kind of log-in leaves the others alone
        await hit(context, name, client, request.url.path)
    return principal or whom.presented(request)


async def _count_widely(request: Request, context: Context, name: str, client: str, whom: Whom) -> str | None:
    principal = whom.remembered(request)
    if principal is None:
        try:
            await hit(context, name, client)
        except Problem:
            principal = await whom.verified(request)
            if principal is None:
                raise
    if principal is not None:
        await hit(context, name, principal)
    return principal


def _whom_of(request: Request, context: Context, authenticator: Authenticator) -> Whom:
    state = request.app.state
    if not hasattr(state, "whom"):
        state.whom = Whom(context, authenticator)
    return cast(Whom, state.whom)
