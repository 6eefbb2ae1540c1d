"""Wire forms of rules on addresses."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vault.schemas import ExactModel, NullIsDefault, Reply, Timestamp
from vault.security.decide import AppliesTo, parse_network

MAX_LABEL_LENGTH = 200


def _network(text: str) -> str:
    try:
        return str(parse_network(text.strip()))
    except ValueError:
        raise ValueError(
            "must be an IPv4 or IPv6 address, or a block such as 203.0.113.0/24 whose host bits are zero"
        ) from None


Label = Annotated[str | None, Field(max_length=MAX_LABEL_LENGTH)]


class CreateIpRuleRequest(ExactModel):
    """A rule; some clients say `block` for deny and `description` for label."""

    rule_type: Literal["allow", "deny", "block"]
    cidr: Annotated[str, Field(max_length=64), AfterValidator(_network)]
    label: Label = None
    description: Label = None
    applies_to: Annotated[AppliesTo, NullIsDefault()] = "all"


class IpRuleResponse(Reply):
    """A rule as it is stored."""

    id: str
    org_id: str
    rule_type: Literal["allow", "deny"]
    cidr: str
    label: str | None = None
    applies_to: AppliesTo
    created_by: str
    created_at: Timestamp


class IpRulesListResponse(Reply):
    """A page of rules, oldest first."""

    rules: list[IpRuleResponse]
