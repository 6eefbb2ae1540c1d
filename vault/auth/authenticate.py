"""From a request's Bearer credential to a Caller, asking the database every single time.

Nothing here is cached: a deactivated agent, a revoked token, a rotated key is refused on the very next request.
"""

from typing import cast

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import keys, repository
from vault.auth.caller import Caller
from vault.auth.client_address import client_address, parse_networks
from vault.auth.scopes import path_scopes
from vault.auth.tokens import TokenVerifier
from vault.context import Context, context_of
from vault.errors import unauthorized

ACTIVITY_RESOLUTION_S = 60


class Authenticator:
    """One per application: the token verifier, and connections that read without opening a transaction."""

    def __init__(self, context: Context) -> None:
        self._verifier = TokenVerifier(context.signer)
        self._engine = context.database.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._proxies = parse_networks(context.options.trusted_proxies)

    def address(self, request: Request) -> str | None:
        """The client's address, seen through trusted proxies only."""
        peer = request.client.host if request.client else None
        return client_address(peer, ",".join(request.headers.getlist("x-forwarded-for")), self._proxies)

    async def caller(self, credential: str, ip_address: str | None) -> Caller:
        """Who presents this credential; Problem 401 if nobody may with it."""
        if keys.is_key(credential):
            async with self._engine.connect() as connection:
                if credential.startswith(keys.AGENT):
                    return await _agent_by_key(connection, credential, ip_address)
                return await _user_by_key(connection, credential, ip_address)
        claims = await self._verifier.verify(credential)
        async with self._engine.connect() as connection:
            if claims.kind == "agent":
                agent = await repository.live_agent(connection, claims)
                if agent is None:
                    raise unauthorized()
                found = _agent_caller(agent, ip_address)
                await _note_agent(connection, agent)
            else:
                user = await repository.live_user(connection, claims)
                if user is None:
                    raise unauthorized()
                found = _user_caller(user, ip_address)
        return _with_token(found, claims.token_id, claims.expires_at)


def authenticator_of(request: Request) -> Authenticator:
    """The application's authenticator, made on first use."""
    state = request.app.state
    if not hasattr(state, "authenticator"):
        state.authenticator = Authenticator(context_of(request))
    return cast(Authenticator, state.authenticator)
