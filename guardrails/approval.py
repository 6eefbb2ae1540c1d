"""A permission to sign exactly these bytes, once, until a moment. [pure]

The signer redeems an approval by its id and recomputes the digest itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID, uuid4

from chains.transactions import Transaction, max_gas_cost, signing_digest
from guardrails.outcome import Allowed

Kind = Literal["submit", "sign_only", "filler", "cancel"]
DECIDED: Final = ("submit", "sign_only")
SELF_SENT: Final = ("filler", "cancel")


@dataclass(frozen=True, slots=True)
class Approval:
    """Who may have which key sign which 32-byte digest; `expires_at` is timezone-aware."""

    id: UUID
    kind: Kind
    agent_id: UUID
    key_id: UUID
    digest: bytes
    expires_at: datetime

    def __post_init__(self) -> None:
        if self.kind not in (*DECIDED, *SELF_SENT):
            raise ValueError("unknown kind of approval")
        if len(self.digest) != 32:
            raise ValueError("the digest is not 32 bytes")
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at has no timezone")


def approve(
    allowed: Allowed,
    tx: Transaction,
    *,
    kind: Literal["submit", "sign_only"],
    agent_id: UUID,
    key_id: UUID,
    expires_at: datetime,
) -> Approval:
    """Approve `tx` on the strength of a decision about it.

    ValueError unless `allowed` came from `decide` on the facts of this very transaction: an approval for one
    transaction never covers another, not even one a wei larger.
    """
    if not isinstance(allowed, Allowed) or allowed.facts is None:
        raise ValueError("nothing is approved without a decision")
    if kind not in DECIDED:
        raise ValueError("only a filler or cancel goes without a decision")
    facts = allowed.facts
    decided = (facts.chain_id, facts.to, facts.value_wei, facts.gas_cost_wei)
    if decided != (tx.chain_id, tx.to, tx.value, max_gas_cost(tx)):
        raise ValueError("the decision was about another transaction")
    return _approval(tx, kind, agent_id, key_id, expires_at)


def approve_filler(
    tx: Transaction,
    *,
    sender: bytes,
    agent_id: UUID,
    key_id: UUID,
    expires_at: datetime,
    kind: Literal["filler", "cancel"] = "filler",
) -> Approval:
    """Approve a transaction that moves nothing and only settles a nonce; no limit of the agent's applies.

    ValueError unless it goes from `sender` (20 bytes) to itself with neither value nor data. The gas ceiling and
    that the nonce is one of ours are the caller's to check.
    """
    if kind not in SELF_SENT:
        raise ValueError("this kind of approval needs a decision")
    if not is_filler(tx, sender):
        raise ValueError("not a filler: it must go to its own sender, with no value and no data")
    return _approval(tx, kind, agent_id, key_id, expires_at)


def is_filler(tx: Transaction, sender: bytes) -> bool:
    """Does `tx` move nothing: from `sender` to itself, no value, no data?"""
    return len(sender) == 20 and tx.to == sender and tx.value == 0 and not tx.data


def _approval(tx: Transaction, kind: Kind, agent_id: UUID, key_id: UUID, expires_at: datetime) -> Approval:
    return Approval(
        id=uuid4(), kind=kind, agent_id=agent_id, key_id=key_id, digest=signing_digest(tx), expires_at=expires_at
    )
