"""The exchange of an agent's certificate, or of its identity provider's assertion, for a token."""

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth import agent_credentials, issue, repository
from vault.auth.agent_credentials import MTLS, OIDC
from vault.auth.client_certificate import fingerprint_of
from vault.auth.jwks import LEEWAY_S, MAX_TOKEN_CHARS, jwks_of
from vault.auth.schemas import AgentTokenReply
from vault.columns import AnyRow
from vault.context import Context
from vault.errors import Problem, unauthorized

TOKEN_PATH = "/v1/auth/agent-token"  # noqa: S105 - a path
MAX_ASSERTION_LIFE_S = 3600
MAX_CLIENT_ID_CHARS = 1024


async def for_certificate(
    request: Request, context: Context, agent_id: UUID | None, ip_address: str | None
) -> AgentTokenReply:
    """The token of the agent that the connection's client certificate stands for; Problem 401 otherwise."""
    try:
        fingerprint = fingerprint_of(request, context.options)
    except Problem:
        await _note_failure(context, agent_id, MTLS, ip_address)
        raise
    async with context.database.begin() as connection:
        found = await agent_credentials.by_fingerprint(connection, fingerprint)
        if found is not None and found.is_live and agent_id in (None, found.id):
            return await issue.for_agent(context, connection, found, MTLS, ip_address)
    await _note_failure(context, agent_id, MTLS, ip_address, found)
    raise _refusal(found, agent_id)


async def for_assertion(
    request: Request, context: Context, assertion: str, agent_id: UUID, ip_address: str | None
) -> AgentTokenReply:
    """The token of an agent that an OpenID Connect issuer's JWT speaks for (RFC 7521); Problem 401 otherwise.

    Only issuers that the operator named are asked for their keys (503 when they do not answer).
    """
    try:
        claims = await _verified(request, context, assertion)
        client_id = _client_id(claims)
    except Problem as problem:
        if problem.status == 401:
            await _note_failure(context, agent_id, OIDC, ip_address)
        raise
    async with context.database.begin() as connection:
        found = await agent_credentials.by_client(connection, claims["iss"], client_id, agent_id)
        is_fresh = found is None or await _use_once(connection, claims)
        if found is not None and found.is_live and is_fresh:
            return await issue.for_agent(context, connection, found, OIDC, ip_address)
    await _note_failure(context, agent_id, OIDC, ip_address, found)
    if not is_fresh:
        raise unauthorized("This assertion was used before; ask your identity provider for a new one")
    raise _refusal(found, agent_id)


async def _verified(request: Request, context: Context, assertion: str) -> dict[str, Any]:
    """The claims of an assertion by one of the operator's issuers, made for us and short-lived."""
    issuer = _unverified_issuer(assertion)
    if issuer is None or issuer not in context.options.oidc_issuers:
        raise unauthorized("The assertion's issuer is not one that this server accepts")
    checker = jwks_of(request)
    public_url = context.options.public_url.rstrip("/")
    claims = await checker.verify(
        assertion,
        jwks_url=await checker.discover(issuer),
        issuers=(issuer,),
        audiences=(public_url, public_url + "/", public_url + TOKEN_PATH),
    )
    # RFC 7519, section 4.1.7
    if not isinstance(claims.get("jti", ""), str):
        raise unauthorized("The assertion's jti is not a text")
    if claims["exp"] > time.time() + MAX_ASSERTION_LIFE_S + LEEWAY_S:
        raise unauthorized("The assertion lives too long: at most an hour")
    return claims


def _unverified_issuer(assertion: str) -> str | None:
    """Who claims to have made it: only looked up in the operator's list, to know whose keys to check it with."""
    if len(assertion) > MAX_TOKEN_CHARS:
        return None
    try:
        issuer = jwt.decode(assertion, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return issuer if isinstance(issuer, str) else None


def _client_id(claims: dict[str, Any]) -> str:
    """Whom the issuer made it for: the first of azp, client_id and sub that is there."""
    value = next((claims[name] for name in ("azp", "client_id", "sub") if name in claims), None)
    # PostgreSQL takes no NUL, and no client is called so
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CLIENT_ID_CHARS or not value.isprintable():
        raise unauthorized("The assertion names no client (azp, client_id or sub)")
    return value


async def _use_once(connection: AsyncConnection, claims: dict[str, Any]) -> bool:
    """Remember an assertion that has an id until it has expired; False if it was used already."""
    if "jti" not in claims:
        return True
    digest = hashlib.sha256(f"{claims['iss']}\n{claims['jti']}".encode("utf-8", "backslashreplace")).hexdigest()
    until = datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=LEEWAY_S)
    return await repository.revoke_token(connection, f"oidc:{digest}", until)


async def _note_failure(
    context: Context, agent_id: UUID | None, method: str, ip_address: str | None, found: AnyRow | None = None
) -> None:
    """Tell the organisation of the agent that was found, or claimed; nobody can be told of an unknown one."""
    async with context.database.begin() as connection:
        if found is None and agent_id is not None:
            found = await agent_credentials.by_id(connection, agent_id, method)
        if found is not None:
            await issue.note_agent_failure(connection, found, method, ip_address)


def _refusal(found: AnyRow | None, agent_id: UUID | None) -> Problem:
    if found is None or agent_id not in (None, found.id):
        return unauthorized("Invalid credentials")
    return unauthorized("Agent has expired" if found.is_active else "Agent is deactivated")
