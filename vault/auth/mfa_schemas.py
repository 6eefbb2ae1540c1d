"""Bodies of /v1/auth/mfa."""

from typing import Annotated

from pydantic import Field

from vault.schemas import Reply, StrictModel

Code = Annotated[str, Field(min_length=1, max_length=64, repr=False)]


class MfaStatusReply(Reply):
    """GET /v1/auth/mfa/status."""

    enabled: bool


class MfaSetupReply(Reply):
    """What an authenticator app needs; `secret` in base32."""

    otpauth_uri: Annotated[str, Field(repr=False)]
    secret: Annotated[str, Field(repr=False)]


class MfaVerifySetupRequest(StrictModel):
    """POST /v1/auth/mfa/verify-setup."""

    code: Code


class MfaVerifySetupReply(Reply):
    """The only time the recovery codes are shown."""

    recovery_codes: Annotated[list[str], Field(repr=False)]


class MfaVerifyRequest(StrictModel):
    """POST /v1/auth/mfa/verify: a TOTP or a recovery code."""

    code: Code
    mfa_token: Annotated[str, Field(max_length=512, repr=False)]


class MfaDisableRequest(StrictModel):
    """DELETE /v1/auth/mfa: a code or the password."""

    code: Annotated[str | None, Field(min_length=1, max_length=64, repr=False)] = None
    password: Annotated[str | None, Field(max_length=4096, repr=False)] = None
