"""/v1/auth/google: logging in with Google."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from vault.auth.google_login import google
from vault.auth.jwks import MAX_TOKEN_CHARS, jwks_of
from vault.auth.parameters import Address, Ctx
from vault.auth.schemas import MfaRequiredReply, TokenReply
from vault.schemas import StrictModel

router = APIRouter(prefix="/v1/auth", tags=["auth"])


class GoogleRequest(StrictModel):
    """POST /v1/auth/google."""

    id_token: Annotated[str, Field(max_length=MAX_TOKEN_CHARS, repr=False)]


@router.post("/google")
async def google_login(
    body: GoogleRequest, request: Request, context: Ctx, address: Address
) -> MfaRequiredReply | TokenReply:
    """Log in with Google's ID token; a new person gets an account and an organisation."""
    return await google(context, jwks_of(request), body.id_token, address)
