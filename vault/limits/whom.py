"""Whom a request counts against: its address until its credential is verified, from then on the principal.

Who is somebody is remembered for a minute, so that this costs nothing; when an address has used up its limit, a
credential that is not remembered is verified first, a few at a time. So nobody's flood stands in another's way, be it
from the same address.
"""

import asyncio

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from signer.errors import SignerError
from vault.auth import places
from vault.auth.authenticate import SIGNED_IN, Authenticator
from vault.auth.caller import Caller
from vault.auth.cookie_names import cookie_name
from vault.auth.keys import digest_of
from vault.context import Context
from vault.errors import Problem

AT_ONCE = 4
MAX_WAITING = 64


class Whom:
    """One per process."""

    def __init__(self, context: Context, authenticator: Authenticator) -> None:
        self._database, self._authenticator = context.database, authenticator
        url = context.options.public_url
        self._session, self._device = cookie_name(url, "session"), cookie_name(url, "device")
        self._lane = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    def remembered(self, request: Request) -> str | None:
        """The principal whose credential this request presents, as far as we remember it."""
        signed_in = request.scope.get(SIGNED_IN)
        if isinstance(signed_in, Caller):
            return signed_in.principal
        credential = self._credential(request)
        return self._authenticator.recent.principal(credential) if credential else None

    def presented(self, request: Request) -> str | None:
        """A name for the credential that this request presents, genuine or not; never the credential itself."""
        credential = self._credential(request)
        return f"credential:{digest_of(credential).hex()}" if credential else None

    async def verified(self, request: Request) -> str | None:
        """The principal, or the known device, that this request comes from; None when it is nobody's, or too many
        ask at once."""
        bearer, session = _bearer(request), request.cookies.get(self._session)
        device = request.cookies.get(self._device)
        if not (bearer or session or device) or self._waiting >= MAX_WAITING:
            return None
        self._waiting += 1
        try:
            async with self._lane:
                address = self._authenticator.address(request)
                if bearer:
                    # a made-up token must not keep its place here from others
                    return (await self._authenticator.caller(bearer, address, may_wait=False)).principal
                person = await self._authenticator.visitor(request, session) if session else None
                if person is not None:
                    return person.principal
                return f"device:{digest_of(device).hex()}" if device and await self._is_known(device) else None
        except (Problem, SQLAlchemyError, SignerError):
            # it counts against its address, then
            return None
        finally:
            self._waiting -= 1

    def _credential(self, request: Request) -> str | None:
        return _bearer(request) or request.cookies.get(self._session)

    async def _is_known(self, device: str) -> bool:
        async with self._database.logins.statements() as connection:
            return await places.is_known_device(connection, device)


def _bearer(request: Request) -> str | None:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return credential.strip() or None if scheme.lower() == "bearer" else None
