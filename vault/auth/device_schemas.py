"""Bodies of /v1/auth/device."""

from typing import Annotated, Literal

from pydantic import Field

from vault.schemas import Reply, StrictModel, Timestamp

UserCode = Annotated[str, Field(min_length=1, max_length=32)]
Status = Literal["pending", "approved", "denied", "expired"]
Error = Literal["authorization_pending", "slow_down", "expired_token", "access_denied", "unsupported_grant_type"]


class DeviceCodeRequest(StrictModel):
    """POST /v1/auth/device/code; without `email` any signed-in person may approve."""

    client_id: Annotated[str, Field(min_length=1, max_length=255)]
    email: Annotated[str | None, Field(max_length=320)] = None


class DeviceCodeReply(Reply):
    """What the command line shows and polls with; times in seconds."""

    device_code: Annotated[str, Field(repr=False)]
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int


class DeviceTokenRequest(StrictModel):
    """POST /v1/auth/device/token."""

    device_code: Annotated[str, Field(max_length=512, repr=False)]
    grant_type: Annotated[str, Field(max_length=255)]


class DeviceTokenReply(Reply):
    """A token, or why there is none (yet): always with 200."""

    access_token: Annotated[str | None, Field(repr=False)] = None
    token_type: str | None = None
    expires_in: int | None = None
    error: Error | None = None
    email: str | None = None
    user_id: str | None = None
    org_id: str | None = None


class DeviceStatusReply(Reply):
    """GET /v1/auth/device/code/{user_code}."""

    user_code: str
    status: Status
    expires_at: Timestamp


class DeviceDecisionRequest(StrictModel):
    """POST /v1/auth/device/approve and …/deny."""

    user_code: UserCode


class DeviceDecisionReply(Reply):
    """What the person decided."""

    status: Status
    message: str
