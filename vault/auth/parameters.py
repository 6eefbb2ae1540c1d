"""What routes of /v1/auth ask for besides the body: the parts they work with, and where the request comes from."""

from typing import Annotated

from fastapi import Depends, Request

from vault.auth.authenticate import authenticator_of
from vault.context import Context, context_of


async def _ip_address(request: Request) -> str | None:
    return authenticator_of(request).address(request)


Ctx = Annotated[Context, Depends(context_of)]
Address = Annotated[str | None, Depends(_ip_address)]
