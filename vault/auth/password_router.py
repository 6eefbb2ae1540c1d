"""/v1/auth: changing a password, and setting a new one when it is forgotten."""

from fastapi import APIRouter

from vault.auth import password_change
from vault.auth.dependencies import WholePerson
from vault.auth.parameters import Address, Ctx
from vault.auth.password_schemas import (
    ChangePasswordRequest,
    ForgotPasswordRequest,
    MessageReply,
    ResetPasswordRequest,
)

router = APIRouter(prefix="/v1/auth", tags=["auth"])


@router.post("/change-password", status_code=204)
async def change_password(body: ChangePasswordRequest, caller: WholePerson, context: Ctx) -> None:
    """Set a new password; every token and session ends, the one presented here, too."""
    await password_change.change(context, caller, body.current_password, body.new_password)


@router.post("/forgot-password")
async def forgot_password(body: ForgotPasswordRequest, context: Ctx, address: Address) -> MessageReply:
    """Ask for a mail to set a new password with; the answer is always the same."""
    return MessageReply(message=await password_change.forgot(context, body.email, address))


@router.post("/reset-password")
async def reset_password(body: ResetPasswordRequest, context: Ctx, address: Address) -> MessageReply:
    """Set a new password with the token of the mail."""
    await password_change.reset(context, body.token, body.new_password, address)
    return MessageReply(message="Your password was changed. Log in with the new one.")
