"""What is asked about the audit log, and answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field

from vault.audit.chain import MAX_FINDINGS
from vault.errors import bad_request
from vault.schemas import Identifier, Reply, Timestamp

MAX_POSITION = 2**63 - 1
MAX_WALK = 50_000
MAX_TEXT = 255

# what PostgreSQL can compare: no NUL
Text = Annotated[str | None, Query(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True)
class Filter:
    """Which events are asked for; all that is given must hold. `columns` must be equal to a value."""

    columns: Mapping[str, str]
    agent_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None


async def _filter(
    action: Text = None,
    actor_id: Text = None,
    actor_type: Text = None,
    resource_id: Text = None,
    agent_id: Annotated[Identifier | None, Query(description="Events by or about this agent")] = None,
    since: Annotated[Timestamp | None, Query(alias="from")] = None,
    until: Annotated[Timestamp | None, Query(alias="to")] = None,
    before: Annotated[
        Identifier | None, Query(description="Events older than this one: pages at any depth cost the same")
    ] = None,
) -> Filter:
    if since is not None and until is not None and since > until:
        raise bad_request("from: must not be later than to", **{"from": "must not be later than to"})
    columns = {"action": action, "actor_id": actor_id, "actor_type": actor_type, "resource_id": resource_id}
    given = {name: value for name, value in columns.items() if value is not None}
    return Filter(given, agent_id, since, until, before)


FilterQuery = Annotated[Filter, Depends(_filter)]


class AuditEventResponse(Reply):
    """An event; the last two keys are null until it is sealed, about a second later."""

    keep_null: ClassVar[frozenset[str]] = frozenset({"prev_event_id", "integrity_hash"})

    id: UUID
    org_id: UUID
    actor_type: str
    actor_id: str
    action: str
    resource_type: str
    resource_id: str
    details: dict[str, Any]
    ip_address: str | None = None
    created_at: Timestamp
    prev_event_id: UUID | None = None
    integrity_hash: str | None = None


class AuditEventsResponse(Reply):
    """A page, newest first; `count` is that of the page."""

    events: list[AuditEventResponse]
    count: int


class HeadResponse(Reply):
    """A head of the chain, signed in the HSM (base64, Ed25519); see docs/audit.md for the signed bytes."""

    org_id: UUID
    position: int
    integrity_hash: str
    kid: str
    signature: str
    signed_at: Timestamp


class FindingResponse(Reply):
    """Something that contradicts the chain or its signed heads."""

    kind: str
    detail: str
    position: int | None = None
    event_id: UUID | None = None


class UnaccountedResponse(Reply):
    """A signature that the signer says it made and no transaction here is for; `digest` is what was signed.

    `agent_id` is who it was approved for, where that is an agent of this organisation.
    """

    digest: str
    kind: str
    chain_id: int
    address: str
    nonce: int
    value_wei: str
    approval_id: UUID
    agent_id: UUID | None = None
    signed_at: Timestamp


class DisplacedResponse(UnaccountedResponse):
    """A signature that took the place of another one with its nonce, which may be mined instead, and why."""

    displaced_digest: str
    reason: str


class VerifyResponse(Reply):
    """What a walk along a part of the chain found; `next_position` says where the next part begins.

    `unaccounted_signatures` and `displaced_digests` are of the signer's own record, which is compared in parts of its
    own: `next_signature` says where to go on.
    """

    valid: bool
    checked: int
    sealed_to: int
    unsealed: int
    head: HeadResponse | None = None
    findings: list[FindingResponse] = Field(max_length=MAX_FINDINGS)
    next_position: int | None = None
    unaccounted_signatures: list[UnaccountedResponse] | None = None
    displaced_digests: list[DisplacedResponse] | None = None
    next_signature: int | None = None


class KeyResponse(Reply):
    """A public key of audit heads: 32 bytes of Ed25519 in base64."""

    kid: str
    algorithm: str = "Ed25519"
    public_key_base64: str
    retired: bool


class KeysResponse(Reply):
    """Every key that may have signed a head, newest first."""

    keys: list[KeyResponse]


From = Annotated[int, Query(ge=1, le=MAX_POSITION, description="The position to begin with")]
Limit = Annotated[int, Query(ge=1, le=MAX_WALK, description="How many positions at most")]
FromSignature = Annotated[
    int | None,
    Query(ge=1, le=MAX_POSITION, description="The signature to begin with; by default only beside position 1"),
]
