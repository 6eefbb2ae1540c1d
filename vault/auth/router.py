"""/v1/auth: signing up, logging in, exchanging keys, revoking tokens; and the platform's mail outbox."""

import base64
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from vault.agents import repository as agents
from vault.audit.write import write_for
from vault.auth import api_keys, client_certificate, exchange, issue, keys, login, outbox, repository, service
from vault.auth.dependencies import AnyCaller, Human, PlatformAdmin, WholePerson
from vault.auth.emails import normalise
from vault.auth.parameters import Address, Ctx, From
from vault.auth.schemas import (
    AgentTokenReply,
    AgentTokenRequest,
    ApiKeyCreatedReply,
    ApiKeyListReply,
    ApiKeyTokenRequest,
    CreateApiKeyRequest,
    KnowDeviceRequest,
    KnownDeviceReply,
    LoginRequest,
    MailReply,
    MfaRequiredReply,
    OutboxReply,
    PublicKeyReply,
    SignupReply,
    SignupRequest,
    TokenReply,
    VerifyEmailRequest,
)
from vault.errors import bad_request, unauthorized, unavailable
from vault.schemas import PageQuery

router = APIRouter(prefix="/v1", tags=["auth"])


@router.post("/auth/signup")
async def signup(body: SignupRequest, context: Ctx, address: Address) -> SignupReply:
    """Start an account; a mail with a link follows."""
    email = await service.signup(context, body.email, body.password, body.display_name, address)
    return SignupReply(message="Check your e-mail to confirm your address.", email=email)


@router.post("/auth/verify-email")
async def verify_email(body: VerifyEmailRequest, context: Ctx, address: Address) -> TokenReply:
    """Confirm the address and log in."""
    return await service.verify_email(context, body.token, address)


@router.post("/auth/token")
async def log_in(body: LoginRequest, context: Ctx, origin: From) -> MfaRequiredReply | TokenReply:
    """Log in with e-mail and password."""
    return await login.login(context, body.email, body.password, origin)


@router.post("/auth/know-device", responses={400: {"description": "The token is invalid, used or expired"}})
async def know_device(body: KnowDeviceRequest, context: Ctx, address: Address) -> KnownDeviceReply:
    """Make the device that a mailed link was opened on known: others' failed log-ins no longer shut it out."""
    return await login.know_device(context, body.token, address)


@router.delete("/auth/token", status_code=204)
async def revoke(caller: AnyCaller, context: Ctx) -> None:
    """Revoke the presented token at once; a raw API key is left alone."""
    if caller.token_id is None or caller.token_expires_at is None:
        return
    async with context.database.begin() as connection:
        if caller.is_agent:
            # a signature holds the agent's row: one under way is committed before this, the next one sees it
            await agents.find(connection, caller.org_id, caller.id, lock=True)
        if await repository.revoke_token(connection, caller.token_id, caller.token_expires_at):
            await write_for(connection, caller, "auth.revoke", "token", caller.token_id)


@router.post(
    "/auth/agent-token",
    responses={
        400: {"description": "No credential, or several"},
        401: {"description": "The credential does not count"},
        503: {"description": "The identity provider or the signer does not answer"},
    },
)
async def agent_token(body: AgentTokenRequest, request: Request, context: Ctx, address: Address) -> AgentTokenReply:
    """Exchange an agent's key, its identity provider's assertion, or its client certificate for a token."""
    if body.api_key is not None:
        if not (keys.is_key(body.api_key) and body.api_key.startswith(keys.AGENT)):
            raise unauthorized("Invalid credentials")
        return await issue.for_agent_key(context, body.api_key, body.agent_id, address)
    if body.client_assertion is not None:
        # anybody may register an agent with anybody's client: nobody shall get a stranger's token unawares
        if body.agent_id is None:
            raise bad_request("agent_id: missing; an assertion needs it", agent_id="missing")
        return await exchange.for_assertion(request, context, body.client_assertion, body.agent_id, address)
    if not client_certificate.is_offered(request, context.options):
        raise bad_request("api_key: missing (or client_assertion, or a client certificate)", api_key="missing")
    return await exchange.for_certificate(request, context, body.agent_id, address)


@router.post("/auth/api-key-token")
async def api_key_token(body: ApiKeyTokenRequest, context: Ctx, address: Address) -> TokenReply:
    """Exchange a personal key for a token; some clients send agents' keys here, which works too.

    The answer has the same three fields for both: strict clients know no others here.
    """
    if not keys.is_key(body.api_key):
        raise unauthorized("Invalid credentials")
    if body.api_key.startswith(keys.AGENT):
        made = await issue.for_agent_key(context, body.api_key, None, address)
        return TokenReply(access_token=made.access_token, expires_in=made.expires_in)
    return await issue.for_user_key(context, body.api_key, address)


@router.post("/auth/refresh")
async def refresh() -> None:
    """There are no refresh tokens: clients repeat the exchange."""
    raise bad_request("Refresh is not implemented: log in or exchange your API key again")


@router.get("/auth/jwt-public-key")
async def jwt_public_key(context: Ctx) -> PublicKeyReply:
    """The Ed25519 key (32 bytes, base64) that tokens are signed with now."""
    current = [key for key in await context.signer.jwt_keys() if key.retired_at is None]
    if not current:
        raise unavailable("The signer has no token key yet")
    return PublicKeyReply(public_key_base64=base64.b64encode(current[0].public_key).decode())


@router.post("/auth/api-keys", status_code=201)
async def create_api_key(body: CreateApiKeyRequest, caller: Human, context: Ctx) -> ApiKeyCreatedReply:
    """Make a personal API key; it is shown once."""
    async with context.database.begin() as connection:
        return await api_keys.create(context, connection, caller, body)


@router.get("/auth/api-keys")
async def list_api_keys(caller: Human, context: Ctx, page: PageQuery) -> ApiKeyListReply:
    """The caller's personal API keys."""
    async with context.database.begin() as connection:
        return ApiKeyListReply(keys=await api_keys.listed(connection, caller, page))


@router.delete("/auth/api-keys/{key_id}", status_code=204)
async def revoke_api_key(key_id: UUID, caller: WholePerson, context: Ctx) -> None:
    """Revoke a personal API key at once."""
    async with context.database.begin() as connection:
        await api_keys.revoke(connection, caller, key_id)


@router.get("/admin/outbox")
async def mail_outbox(
    caller: PlatformAdmin,
    context: Ctx,
    page: PageQuery,
    to: Annotated[str | None, Query(max_length=320)] = None,
) -> OutboxReply:
    """Mails, newest first; all of them stay here when no SMTP server is configured."""
    async with context.database.begin() as connection:
        rows = await outbox.messages(connection, normalise(to) if to else None, page)
    return OutboxReply(
        messages=[
            MailReply(
                id=row.id,
                to=row.recipient,
                subject=row.subject,
                text=await outbox.text_of(context, row),
                created_at=row.created_at,
                sent_at=row.sent_at,
            )
            for row in rows
        ]
    )
