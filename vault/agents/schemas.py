"""Bodies of /v1/agents. Unknown keys are refused: a misspelt limit must not become no limit."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from vault.schemas import ExactModel, Identifier, NullIsDefault, Reply, Timestamp

MIN_TTL_S = 1
MAX_TTL_S = 86_400


def _chain_text(value: Any) -> Any:
    # A chain may be named by its numeric id; true is not the number 1.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Description = Annotated[str, Field(max_length=4096)]
Scopes = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=1024)]], Field(max_length=200)]
VaultIds = Annotated[list[Identifier], Field(max_length=1000)]
Addresses = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=1000)]
ChainNames = Annotated[
    list[Annotated[str, BeforeValidator(_chain_text), StringConstraints(min_length=1, max_length=64)]],
    Field(max_length=200),
]
Ether = Annotated[str, Field(max_length=100)]
TtlSeconds = Annotated[int, Field(ge=MIN_TTL_S, le=MAX_TTL_S)]
# with or without colons, as openssl and browsers show it; kept in one form, which the exchange looks up
Fingerprint = Annotated[
    str,
    StringConstraints(pattern=r"^(?:[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2})$"),
    AfterValidator(lambda value: value.replace(":", "").lower()),
]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1024)]
AuthMethod = Literal["api_key", "mtls", "oidc_client_credentials"]


class CreateAgentRequest(ExactModel):
    """POST /v1/agents; an explicit null means the default."""

    name: Name
    description: Description | None = None
    auth_method: Annotated[AuthMethod, NullIsDefault] = "api_key"
    client_cert_fingerprint: Fingerprint | None = None
    oidc_issuer: Text | None = None
    oidc_client_id: Text | None = None
    scopes: Scopes | None = None
    vault_ids: VaultIds | None = None
    expires_at: Timestamp | None = None
    token_ttl_seconds: TtlSeconds | None = None
    intents_api_enabled: Annotated[bool, NullIsDefault] = False
    tx_to_allowlist: Addresses | None = None
    tx_allowed_chains: ChainNames | None = None
    tx_max_value_eth: Ether | None = None
    tx_daily_limit_eth: Ether | None = None
    shroud_enabled: Annotated[bool, NullIsDefault] = False
    shroud_config: dict[str, Any] | None = None
    # of later contract versions: accepted where it says what is the case anyway
    llm_token_billing: Literal[False] | None = None


class UpdateAgentRequest(ExactModel):
    """PATCH /v1/agents/{id}: only keys that are present count; null clears (an unlimited or empty value)."""

    name: Name = ""
    description: Description | None = None
    is_active: bool = True
    # a renewed certificate or another client; of the agent's own auth_method only
    client_cert_fingerprint: Fingerprint | None = None
    oidc_issuer: Text | None = None
    oidc_client_id: Text | None = None
    scopes: Scopes | None = None
    vault_ids: VaultIds | None = None
    expires_at: Timestamp | None = None
    token_ttl_seconds: TtlSeconds | None = None
    intents_api_enabled: bool = False
    tx_to_allowlist: Addresses | None = None
    tx_allowed_chains: ChainNames | None = None
    tx_max_value_eth: Ether | None = None
    tx_daily_limit_eth: Ether | None = None
    shroud_enabled: bool = False
    shroud_config: dict[str, Any] | None = None
    llm_token_billing: Literal[False] | None = None


class AgentReply(Reply):
    """An agent with its guardrails; amounts are decimal text in ether, absent when unlimited."""

    id: UUID
    name: str
    description: str | None = None
    auth_method: str
    scopes: list[str]
    is_active: bool
    intents_api_enabled: bool
    tx_to_allowlist: list[str]
    tx_max_value_eth: str | None = None
    tx_daily_limit_eth: str | None = None
    tx_spent_today_eth: str
    tx_allowed_chains: list[str]
    token_ttl_seconds: int | None = None
    vault_ids: list[UUID]
    client_cert_fingerprint: str | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    ssh_public_key: str | None = None
    ecdh_public_key: str | None = None
    shroud_enabled: bool
    shroud_config: dict[str, Any] | None = None
    created_at: Timestamp
    expires_at: Timestamp | None = None
    last_active_at: Timestamp | None = None


class AgentSelfReply(Reply):
    """GET /v1/agents/me."""

    id: UUID
    name: str
    description: str | None = None
    org_id: UUID
    scopes: list[str]
    is_active: bool
    intents_api_enabled: bool
    created_by: UUID
    created_at: Timestamp
    expires_at: Timestamp | None = None
    last_active_at: Timestamp | None = None
    ssh_public_key: str | None = None
    ecdh_public_key: str | None = None
    shroud_enabled: bool
    shroud_config: dict[str, Any] | None = None


class AgentCreatedReply(Reply):
    """The only time the whole key is shown; absent for agents that have none."""

    agent: AgentReply
    api_key: Annotated[str | None, Field(repr=False)] = None


class AgentListReply(Reply):
    """GET /v1/agents."""

    agents: list[AgentReply]


class KeyRotatedReply(Reply):
    """POST /v1/agents/{id}/rotate-key."""

    api_key: Annotated[str, Field(repr=False)]
