"""/v1/auth/mfa: the second factor."""

from fastapi import APIRouter

from vault.auth import mfa
from vault.auth.dependencies import Human, WholePerson
from vault.auth.mfa_schemas import (
    MfaDisableRequest,
    MfaSetupReply,
    MfaStatusReply,
    MfaVerifyRequest,
    MfaVerifySetupReply,
    MfaVerifySetupRequest,
)
from vault.auth.parameters import Address, Ctx
from vault.auth.schemas import TokenReply

router = APIRouter(prefix="/v1/auth/mfa", tags=["auth"])


@router.get("/status")
async def status(caller: Human, context: Ctx) -> MfaStatusReply:
    """Whether logins ask for a second factor."""
    return MfaStatusReply(enabled=await mfa.status(context, caller))


@router.post("/setup")
async def setup(caller: WholePerson, context: Ctx) -> MfaSetupReply:
    """Begin: a secret for an authenticator app; it counts once it is confirmed."""
    secret, uri = await mfa.setup(context, caller)
    return MfaSetupReply(otpauth_uri=uri, secret=secret)


@router.post("/verify-setup")
async def verify_setup(body: MfaVerifySetupRequest, caller: WholePerson, context: Ctx) -> MfaVerifySetupReply:
    """Confirm with a first code; the answer holds the recovery codes."""
    return MfaVerifySetupReply(recovery_codes=await mfa.confirm(context, caller, body.code))


@router.post("/verify")
async def verify(body: MfaVerifyRequest, context: Ctx, address: Address) -> TokenReply:
    """The second half of a login."""
    return await mfa.verify(context, body.mfa_token, body.code, address)


@router.delete("", status_code=204)
async def disable(body: MfaDisableRequest, caller: WholePerson, context: Ctx) -> None:
    """Switch the second factor off."""
    await mfa.disable(context, caller, body.code, body.password)
