"""/v1/auth/google: logging in with Google, and which Google account may."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from vault.auth import google_link
from vault.auth.dependencies import WholePerson
from vault.auth.google_login import google, person_of
from vault.auth.jwks import MAX_TOKEN_CHARS, jwks_of
from vault.auth.parameters import Address, Ctx
from vault.auth.schemas import MfaRequiredReply, Password, TokenReply
from vault.schemas import ExactModel, StrictModel

router = APIRouter(prefix="/v1/auth", tags=["auth"])

IdToken = Annotated[str, Field(max_length=MAX_TOKEN_CHARS, repr=False)]


class GoogleRequest(StrictModel):
    """POST /v1/auth/google."""

    id_token: IdToken


class GoogleLinkRequest(ExactModel):
    """POST /v1/auth/google/link."""

    id_token: IdToken
    password: Password


@router.post("/google", responses={401: {"description": "The token does not count, or the account is to be linked"}})
async def google_login(
    body: GoogleRequest, request: Request, context: Ctx, address: Address
) -> MfaRequiredReply | TokenReply:
    """Log in with Google's ID token; a new person gets an account and an organisation."""
    return await google(context, jwks_of(request), body.id_token, address)


@router.post(
    "/google/link", status_code=204, responses={409: {"description": "One of the two is linked to another already"}}
)
async def google_link_(body: GoogleLinkRequest, request: Request, caller: WholePerson, context: Ctx) -> None:
    """Let the Google account of one's own address log in from now on; asks for the password once more."""
    person = await person_of(context, jwks_of(request), body.id_token)
    await google_link.link_by_password(context, caller, person.subject, person.email, body.password)


@router.delete(
    "/google/link", status_code=204, responses={409: {"description": "Not linked, or nothing else opens it"}}
)
async def google_unlink(caller: WholePerson, context: Ctx) -> None:
    """Have no Google account log in any more; every token and session ends, the one presented here, too."""
    await google_link.unlink(context, caller)
