"""Bodies of /v1/auth/change-password, /v1/auth/forgot-password and /v1/auth/reset-password."""

from typing import Annotated

from pydantic import Field

from vault.auth.schemas import Email, Password
from vault.schemas import Reply, StrictModel


class ChangePasswordRequest(StrictModel):
    """POST /v1/auth/change-password."""

    current_password: Password
    new_password: Password


class ForgotPasswordRequest(StrictModel):
    """POST /v1/auth/forgot-password."""

    email: Email


class ResetPasswordRequest(StrictModel):
    """POST /v1/auth/reset-password, with the token of the mail."""

    token: Annotated[str, Field(max_length=512, repr=False)]
    new_password: Password


class MessageReply(Reply):
    """What happened, in words for people."""

    message: str
