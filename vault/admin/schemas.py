"""Wire forms of what the platform's administrator sees and sets."""

from typing import Annotated, Literal

from pydantic import Field

from vault.schemas import ExactModel, NullIsDefault, Reply, StrictModel, Timestamp

MAX_VALUE_LENGTH = 4096
MAX_COUNT = 2**31 - 1

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class UpdateSettingRequest(ExactModel):
    """A setting's new value; values are text."""

    value: Annotated[str, Field(max_length=MAX_VALUE_LENGTH)]


class SettingResponse(Reply):
    """A stored setting."""

    key: str
    value: str
    updated_by: str
    updated_at: Timestamp


class SettingsListResponse(Reply):
    """A page of stored settings by key; a setting that is not listed has its default."""

    settings: list[SettingResponse]


class JwtKeyResponse(Reply):
    """A key that signs tokens, or did; a retired one counts until `counts_until`."""

    kid: str
    created_at: Timestamp
    retired_at: Timestamp | None
    counts_until: Timestamp | None


class JwtKeysListResponse(Reply):
    """A page of the keys that sign tokens, newest first."""

    keys: list[JwtKeyResponse]
    total: int


class RotateJwtKeyRequest(ExactModel):
    """`at_once` for a key that somebody may have copied: what older keys signed stops counting within seconds."""

    at_once: bool = False


class RotateJwtKeyResponse(Reply):
    """The new key's id."""

    kid: str


class AdminUser(Reply):
    """An account and where it belongs."""

    id: str
    email: str
    display_name: str
    role: Literal["owner", "admin", "member"]
    auth_method: str
    org_id: str
    org_name: str
    billing_tier: str | None = None
    created_at: Timestamp
    free_tier_override: int | None = None
    is_sponsored: bool
    is_platform_admin: bool


class AdminUsersListResponse(Reply):
    """A page of accounts, oldest first, and how many there are in all."""

    users: list[AdminUser]
    total: int


class PutTierRequest(ExactModel):
    """What a tier allows, as a whole; a limit that is null or left out does not exist."""

    max_vaults: Count | None = None
    max_secrets: Count | None = None
    max_agents: Count | None = None
    has_cmek: Annotated[bool, NullIsDefault()] = True
    is_default: Annotated[bool, NullIsDefault()] = False


class TierResponse(Reply):
    """A tier; the default one counts for every organisation without a tier of its own."""

    name: str
    max_vaults: int | None = None
    max_secrets: int | None = None
    max_agents: int | None = None
    has_cmek: bool
    is_default: bool


class TiersListResponse(Reply):
    """A page of tiers by name; without any nothing is limited."""

    tiers: list[TierResponse]


class UpdateOrgLimitsRequest(ExactModel):
    """Exceptions for one organisation: what is left out stays, null takes the exception back.

    `free_tier_override` is the number of requests a month; who is sponsored has no limit at all.
    """

    free_tier_override: Count | None = None
    is_sponsored: Annotated[bool, NullIsDefault()] = False
    max_vaults: Count | None = None
    max_secrets: Count | None = None
    max_agents: Count | None = None


class OrgLimitsResponse(Reply):
    """An organisation's tier and the exceptions from it."""

    org_id: str
    tier: str | None = None
    tier_until: Timestamp | None = None
    free_tier_override: int | None = None
    is_sponsored: bool
    max_vaults: int | None = None
    max_secrets: int | None = None
    max_agents: int | None = None


class SetBillingTierRequest(StrictModel):
    """An organisation's tier, and for how many days; then the default tier counts again."""

    tier: Annotated[str, Field(min_length=1, max_length=64)]
    duration_days: Annotated[int, NullIsDefault(), Field(ge=1, le=3650)] = 365


class BillingTierResponse(Reply):
    """The tier that was set; without an end it counts until another is set."""

    org_id: str
    tier: str
    period_end: Timestamp | None = None


class RestoreOrgRequest(ExactModel):
    """Whose an organisation is from now on: the address of an account that its own organisation can spare."""

    owner_email: Annotated[str | None, Field(max_length=320)] = None


class ReopenedOrgResponse(Reply):
    """How much came back; the agents are switched off until the owner switches them on and gives them new keys."""

    org_id: str
    vaults: int
    agents: int
    owner_id: str | None = None


class ClosedOrgResponse(Reply):
    """An organisation that ended with its last member's account, and how many vaults went along."""

    org_id: str
    name: str
    closed_at: Timestamp
    vaults: int


class ClosedOrgsResponse(Reply):
    """A page of closed organisations, the latest first."""

    organisations: list[ClosedOrgResponse]
