"""What routes of /v1/auth ask for besides the body: the parts they work with, and where the request comes from."""

from typing import Annotated

from fastapi import Depends, Request

from vault.auth.authenticate import authenticator_of
from vault.auth.cookie_names import cookie_name
from vault.auth.origin import Origin, is_this_host
from vault.context import Context, context_of


async def _ip_address(request: Request) -> str | None:
    return authenticator_of(request).address(request)


async def _origin(request: Request) -> Origin:
    context: Context = request.app.state.context
    return Origin(
        address=authenticator_of(request).address(request),
        device=request.cookies.get(cookie_name(context.options.public_url, "device")),
        is_host=is_this_host(request.client.host if request.client else None, request.headers),
    )


Ctx = Annotated[Context, Depends(context_of)]
Address = Annotated[str | None, Depends(_ip_address)]
From = Annotated[Origin, Depends(_origin)]
