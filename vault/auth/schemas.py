"""Bodies of /v1/auth."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AliasChoices, Field, StringConstraints, model_validator

from vault.schemas import Identifier, NullIsDefault, Reply, StrictModel, Timestamp

Email = Annotated[str, Field(max_length=320)]
Password = Annotated[str, Field(max_length=4096, repr=False)]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class SignupRequest(StrictModel):
    """POST /v1/auth/signup."""

    email: Email
    password: Password
    display_name: Annotated[str, NullIsDefault, Field(max_length=255)] = ""


class SignupReply(Reply):
    """The same for known and unknown addresses."""

    message: str
    email: str


class VerifyEmailRequest(StrictModel):
    """POST /v1/auth/verify-email."""

    token: Annotated[str, Field(max_length=512, repr=False)]


class LoginRequest(StrictModel):
    """POST /v1/auth/token."""

    email: Email
    password: Password


class ApiKeyTokenRequest(StrictModel):
    """POST /v1/auth/api-key-token."""

    api_key: Annotated[str, Field(max_length=512, repr=False)]


class AgentTokenRequest(StrictModel):
    """POST /v1/auth/agent-token: a key, or an identity provider's JWT (RFC 7523), or neither with a certificate.

    `agent_id` is needed only where one client stands for several agents.
    """

    api_key: Annotated[str | None, Field(max_length=512, repr=False)] = None
    client_assertion: Annotated[
        str | None,
        Field(
            max_length=16_384,
            repr=False,
            validation_alias=AliasChoices("client_assertion", "assertion", "id_token"),
        ),
    ] = None
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] | None = None
    agent_id: Identifier | None = None

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.api_key is not None and self.client_assertion is not None:
            raise ValueError("send api_key or client_assertion, not both")
        return self


class TokenReply(Reply):
    """A token; `expires_in` in seconds."""

    access_token: Annotated[str, Field(repr=False)]
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name (RFC 6750)
    expires_in: int


class KnowDeviceRequest(StrictModel):
    """The token of the mail."""

    token: Annotated[str, Field(min_length=1, max_length=512)]


class KnownDeviceReply(Reply):
    """What the device shows from now on as its cookie (talon_device; over https __Host-talon_device); seconds."""

    device_token: Annotated[str, Field(repr=False)]
    expires_in: int


class MfaRequiredReply(TokenReply):
    """The first factor was right; `mfa_token` is for POST /v1/auth/mfa/verify and lives `expires_in` seconds."""

    access_token: Annotated[str, Field(repr=False)] = ""
    mfa_required: Literal[True] = True
    mfa_token: Annotated[str, Field(repr=False)]


class AgentTokenReply(TokenReply):
    """An agent's token; `vault_ids` is empty when the agent is not bound to vaults."""

    agent_id: UUID
    vault_ids: list[UUID]


class PublicKeyReply(Reply):
    """The key that tokens are signed with now."""

    alg: str = "EdDSA"
    public_key_base64: str


class ProfileReply(Reply):
    """GET /v1/auth/me."""

    id: UUID
    email: str
    display_name: str
    auth_method: str
    role: str
    email_verified: bool
    marketing_emails: bool
    totp_enabled: bool
    org_id: UUID
    created_at: Timestamp


class CreateApiKeyRequest(StrictModel):
    """POST /v1/auth/api-keys."""

    name: Name
    scopes: Annotated[list[Scope], NullIsDefault, Field(max_length=100, default_factory=list)]
    expires_at: Timestamp | None = None


class ApiKeyReply(Reply):
    """A personal key without its secret part."""

    id: UUID
    name: str
    key_prefix: str
    scopes: list[str]
    is_active: bool
    created_at: Timestamp
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = None


class ApiKeyCreatedReply(Reply):
    """The only time the whole key is shown."""

    key: ApiKeyReply
    api_key: Annotated[str, Field(repr=False)]


class ApiKeyListReply(Reply):
    """GET /v1/auth/api-keys."""

    keys: list[ApiKeyReply]


class MailReply(Reply):
    """One mail of the outbox; `sent_at` is null until it was handed to SMTP."""

    keep_null: ClassVar[frozenset[str]] = frozenset({"sent_at"})

    id: UUID
    to: str
    subject: str
    text: str
    created_at: Timestamp
    sent_at: Timestamp | None = None


class OutboxReply(Reply):
    """GET /v1/admin/outbox."""

    messages: list[MailReply]
