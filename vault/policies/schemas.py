"""Wire forms of policies. Unknown keys are refused: one that was meant to narrow would otherwise be lost."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, field_validator

from vault.policies.conditions import ConditionsError, parse_conditions
from vault.policies.decide import Outcome
from vault.policies.glob import fault_of
from vault.schemas import ExactModel, Identifier, Reply, Timestamp
from vault.secrets.paths import MAX_LENGTH

# delete is what some clients offer; it is stored, and deleting takes write
PermissionName = Literal["read", "write", "delete"]
Permissions = Annotated[list[PermissionName], Field(min_length=1, max_length=16)]

# a day further, and it has no local time in some zone
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def _readable(conditions: dict[str, Any] | None) -> dict[str, Any] | None:
    try:
        parse_conditions(conditions)
    except ConditionsError as error:
        raise ValueError(str(error)) from None
    return conditions or None


class LaterFields(ExactModel):
    """Fields of later contract versions, accepted where they hold their default: nothing is dropped silently."""

    effect: Literal["allow"] | None = None
    priority: int | None = None
    policy_schema_version: Literal[1] | None = None


class CreatePolicyRequest(LaterFields):
    """A grant to one principal. `priority` orders allow and deny; with allow alone every number means the same."""

    secret_path_pattern: str
    principal_type: Literal["user", "agent"]
    principal_id: Identifier
    permissions: Permissions
    conditions: dict[str, Any] | None = None
    expires_at: Timestamp | None = None

    _conditions = field_validator("conditions")(_readable)

    @field_validator("secret_path_pattern")
    @classmethod
    def _usable_pattern(cls, pattern: str) -> str:
        fault = fault_of(pattern)
        if fault is not None:
            raise ValueError(fault)
        return pattern


class UpdatePolicyRequest(LaterFields):
    """What may change. A key that is left out keeps its value; null clears conditions and expires_at.

    The rest of a policy may be sent along, as clients that send the whole object back do; it is ignored.
    """

    permissions: Permissions | None = None
    conditions: dict[str, Any] | None = None
    expires_at: Timestamp | None = None

    id: Any = None
    vault_id: Any = None
    secret_path_pattern: Any = None
    principal_type: Any = None
    principal_id: Any = None
    created_by: Any = None
    created_by_type: Any = None
    created_at: Any = None

    _conditions = field_validator("conditions")(_readable)

    def changes(self) -> dict[str, Any]:
        """The columns to change and their new values."""
        given = {name for name in ("permissions", "conditions", "expires_at") if name in self.model_fields_set}
        if self.permissions is None:
            given.discard("permissions")
        return {name: getattr(self, name) for name in sorted(given)}


class PolicyResponse(Reply):
    """A policy."""

    id: str
    vault_id: str
    secret_path_pattern: str
    principal_type: str
    principal_id: str
    permissions: list[str]
    conditions: dict[str, Any] | None
    expires_at: Timestamp | None
    created_by: str
    created_by_type: str
    created_at: Timestamp


class PolicyListResponse(Reply):
    """A page of policies, oldest first."""

    policies: list[PolicyResponse]


class AccessQuestion(BaseModel):
    """May this principal do this? Without `ip` it calls from no known address, without `at` it calls now."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    principal_type: Literal["user", "agent"]
    principal_id: Identifier
    path: Annotated[str, Field(max_length=MAX_LENGTH)]
    permission: Literal["read", "write"]
    ip: IPvAnyAddress | None = None
    at: Annotated[Timestamp, Field(ge=_EARLIEST, le=_LATEST)] | None = None


class DecidingPolicy(Reply):
    """What the policy says that grants."""

    pattern: str
    permissions: list[str]
    expires_at: Timestamp | None


class ConsideredPolicy(Reply):
    """One policy of the principal in this vault, and how far it came."""

    policy_id: str
    pattern: str
    outcome: Outcome


class AccessResponse(Reply):
    """The answer, the step of the decision that gave it, and every policy looked at, the nearest first."""

    allowed: bool
    step: Literal["principal", "address", "organisation", "binding", "scopes", "creator", "policy", "intents"]
    detail: str
    policy_id: str | None = None
    policy: DecidingPolicy | None = None
    considered: list[ConsideredPolicy]
