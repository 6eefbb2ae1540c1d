"""Bodies of /v1/agents. Unknown keys are refused: a misspelt limit must not become no limit."""

from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from chains.errors import BadAmount
from chains.units import parse_ether
from signer.token_order import LONGEST_LIFETIME_S
from vault.schemas import ExactModel, Identifier, NullIsDefault, Reply, Timestamp

MIN_TTL_S = 1
MAX_TTL_S = LONGEST_LIFETIME_S["agent"]


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


# later clients' names of the amounts (in native coins, the same unit) and the contract's
ALIASES: Final = {"tx_max_value": "tx_max_value_eth", "tx_daily_limit": "tx_daily_limit_eth"}


class _AliasedLimits(ExactModel):
    """Amounts by either name; both given and different is refused, because one of them would not be kept."""

    tx_max_value: Ether | None = None
    tx_daily_limit: Ether | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        for alias, name in ALIASES.items():
            if alias not in self.model_fields_set:
                continue
            if name in self.model_fields_set and not _is_same(getattr(self, alias), getattr(self, name)):
                raise ValueError(f"{alias} and {name} differ; send one of them")
            setattr(self, name, getattr(self, alias))
        return self

    @property
    def uses_aliases(self) -> bool:
        """Whether the client speaks in the later names, and so reads them in the answer."""
        return not self.model_fields_set.isdisjoint(ALIASES)


def _is_same(one: str | None, other: str | None) -> bool:
    try:
        return one == other or (one is not None and other is not None and parse_ether(one) == parse_ether(other))
    except BadAmount:
        return False


class CreateAgentRequest(_AliasedLimits):
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


class UpdateAgentRequest(_AliasedLimits):
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
    """An agent with its guardrails; amounts are decimal text in native coins, absent when unlimited.

    `tx_spent_today_eth` is told by GET of one agent alone, when it is not zero; `tx_max_value` and `tx_daily_limit`
    to who used those names or asks with `?include=aliases`. Older generated clients know none of the three.
    """

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
    tx_spent_today_eth: str | None = None
    tx_max_value: str | None = None
    tx_daily_limit: str | None = None
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
    # only while it is frozen: by itself, with its organisation, or with the whole instance
    frozen_at: Timestamp | None = None
    frozen_by: str | None = None
    frozen_by_name: str | None = None
    frozen_reason: str | None = None
    frozen_scope: str | None = None


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
