"""From a request's Bearer credential to a Caller, asking the database every single time.

Nothing about a principal is cached: a deactivated agent, a revoked token, a rotated key is refused on the very
next request. Each check is one statement on a connection without a transaction.
"""

from dataclasses import replace
from typing import cast

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import keys, repository, web_sessions
from vault.auth.caller import Caller
from vault.auth.client_address import client_address, parse_networks
from vault.auth.recent import Recent
from vault.auth.scopes import path_scopes
from vault.auth.tokens import TokenVerifier
from vault.columns import AnyRow
from vault.context import Context
from vault.db import Database
from vault.errors import Problem, unauthorized
from vault.security.blocked import refusal

# The key of an ASGI scope under which our own pages say who is signed in. Nothing that a client sends gets there.
SIGNED_IN = "talon.signed_in"
# And of what is to be called with the principal once the request's credential counts; it may raise Problem 429.
ON_PROOF = "talon.on_proof"


class Authenticator:
    """One per application: its token verifier, trusted proxies and database."""

    def __init__(self, context: Context, recent: Recent) -> None:
        self._verifier = TokenVerifier(context.signer)
        self._database = context.database
        self._proxies = parse_networks(context.options.trusted_proxies)
        self.recent = recent

    def address(self, request: Request) -> str | None:
        """The client's address, seen through trusted proxies only; None when it cannot be told."""
        peer = request.client.host if request.client else None
        lines = request.headers.getlist("x-forwarded-for")
        return client_address(peer, ",".join(lines) if lines else None, self._proxies)

    async def caller(self, credential: str, address: str | None, *, may_wait: bool = True) -> Caller:
        """Who presents this credential; Problem 401 if it does not count (any more), 403 for a blocked address.

        `may_wait`: whether a token of an unknown key may take a second, until the signer may be asked for it.
        """
        try:
            found = await self._caller(credential, address, may_wait)
        except Problem:
            self.recent.refused(credential)
            raise
        self.recent.proved(credential, found.principal, address)
        return found

    async def _caller(self, credential: str, address: str | None, may_wait: bool) -> Caller:
        if keys.is_key(credential):
            async with self._pool(of_agents=credential.startswith(keys.AGENT)).statements() as connection:
                if credential.startswith(keys.AGENT):
                    return await _agent_by_key(connection, credential, address)
                return await _user_by_key(connection, credential, address)
        claims = await self._verifier.verify(credential, may_wait=may_wait)
        async with self._pool(of_agents=claims.kind == "agent").statements() as connection:
            if claims.kind == "agent":
                row = await repository.agent_of_token(connection, claims, address)
                found = await _agent(connection, row)
            else:
                row = await repository.user_of_token(connection, claims, address)
                found = _user(row)
        return replace(
            found,
            # a token that ends with a key may do what the key may, no more
            credential="jwt" if claims.key_id is None else "api_key",
            token_id=claims.token_id,
            token_expires_at=claims.expires_at,
            version=claims.version,
            key_id=claims.key_id,
        )

    def _pool(self, *, of_agents: bool) -> Database:
        """People are let in apart: agents may hold every other connection, and a person may want to stop them."""
        return self._database if of_agents else self._database.people

    async def visitor(self, request: Request, cookie: str) -> Caller | None:
        """Who is signed in with a browser's session, asked of the database like every other credential."""
        address = self.address(request)
        async with self._database.people.statements() as connection:
            claims = await web_sessions.claims(connection, cookie)
            row = await repository.user_of_token(connection, claims, address) if claims is not None else None
        if row is None or claims is None:
            self.recent.refused(cookie)
            return None
        found = replace(
            _user(row),
            credential="session",
            ip_address=address,
            version=claims.version,
            session=web_sessions.digest(cookie),
        )
        self.recent.proved(cookie, found.principal, address)
        _tell(request, found)
        return found


def authenticator_of(request: Request) -> Authenticator:
    """The application's authenticator, made on first use."""
    state = request.app.state
    if not hasattr(state, "authenticator"):
        # the connections' keeper, where there is one, has made it
        recent = getattr(state, "recent", None) or Recent()
        state.authenticator = Authenticator(request.app.state.context, recent)
    return cast(Authenticator, state.authenticator)


async def authenticate(request: Request) -> Caller:
    """The caller of this request; Problem 401 without a credential that counts."""
    signed_in = request.scope.get(SIGNED_IN)
    if isinstance(signed_in, Caller):
        return signed_in
    authenticator = authenticator_of(request)
    address = authenticator.address(request)
    found = await authenticator.caller(_bearer(request), address)
    _tell(request, found)
    return replace(found, ip_address=address)


def _tell(request: Request, found: Caller) -> None:
    on_proof = request.scope.get(ON_PROOF)
    if on_proof is not None:
        on_proof(found.principal)


def _bearer(request: Request) -> str:
    values = request.headers.getlist("authorization")
    if len(values) != 1:
        raise unauthorized("Missing or ambiguous Authorization header; send one: Bearer <token or API key>")
    scheme, _, credential = values[0].partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise unauthorized("The Authorization header must be: Bearer <token or API key>")
    return credential.strip()


async def _agent_by_key(connection: AsyncConnection, key: str, address: str | None) -> Caller:
    rows = await repository.agents_by_prefix(connection, key[: keys.PREFIX_LENGTH], address)
    matching = [row for row in rows if keys.matches(key, row.key_hash) and row.is_live]
    return await _agent(connection, matching[0] if matching else None)


async def _user_by_key(connection: AsyncConnection, key: str, address: str | None) -> Caller:
    rows = await repository.users_by_prefix(connection, key[: keys.PREFIX_LENGTH], address)
    matching = [row for row in rows if keys.matches(key, row.key_hash)]
    if not matching:
        raise unauthorized()
    found = _user(matching[0])
    if matching[0].is_use_stale:
        await repository.touch_api_key(connection, matching[0].key_id)
    return replace(found, key_id=matching[0].key_id)


async def _agent(connection: AsyncConnection, row: AnyRow | None) -> Caller:
    if row is None:
        raise unauthorized()
    if row.is_address_blocked:
        raise refusal()
    if row.is_activity_stale:
        await repository.touch_agent(connection, row.id)
    return Caller(
        kind="agent",
        id=row.id,
        org_id=row.org_id,
        role=None,
        credential="api_key",
        scopes=path_scopes(row.scopes),
        vault_ids=tuple(row.vault_ids),
        intents_api_enabled=row.intents_api_enabled,
        version=row.token_version,
    )


def _user(row: AnyRow | None) -> Caller:
    if row is None:
        raise unauthorized()
    if row.is_address_blocked:
        raise refusal()
    return Caller(
        kind="user",
        id=row.id,
        org_id=row.org_id,
        role=row.role,
        credential="api_key",
        scopes=path_scopes(row.scopes or ()),
        is_platform_admin=row.is_platform_admin,
    )
