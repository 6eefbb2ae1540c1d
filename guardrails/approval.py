"""A permission to sign exactly these bytes, once, until a moment. [pure]

The signer redeems an approval by its id and recomputes the digest itself. It signs one digest per address, chain and
nonce; another one there needs an approval that names the digest it displaces, and why.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID, uuid4

from chains.transactions import Transaction, max_gas_cost, signing_digest
from guardrails.outcome import Allowed

Kind = Literal["submit", "sign_only", "filler", "cancel"]
DECIDED: Final = ("submit", "sign_only")
SELF_SENT: Final = ("filler", "cancel")

# Why another digest may take the place of the one that was signed for a nonce
Reason = Literal["rolled_back", "sign_only", "speed_up", "cancel", "filler", "chain_reset"]
REASONS: Final[tuple[str, ...]] = get_args(Reason)

# From the decision to the signature lies one call on a socket of this host, under locks that a human's stop waits
# for: whoever asks waits no longer than this, and a signer that hung until then signs no more. The signer takes no
# expiry further away than `MAX_LIFETIME`
LIFETIME: Final = timedelta(seconds=4)
MAX_LIFETIME: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Approval:
    """Who may have which key sign which 32-byte digest; `expires_at` is timezone-aware.

    `displaces` is the digest that stands at this nonce, `reason` why it may go; both or neither.
    """

    id: UUID
    kind: Kind
    agent_id: UUID
    key_id: UUID
    digest: bytes
    expires_at: datetime
    displaces: bytes | None = None
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if self.kind not in (*DECIDED, *SELF_SENT):
            raise ValueError("unknown kind of approval")
        if len(self.digest) != 32:
            raise ValueError("the digest is not 32 bytes")
        if self.expires_at.tzinfo is None:
            raise ValueError("expires_at has no timezone")
        if (self.displaces is None) != (self.reason is None):
            raise ValueError("a displaced digest and a reason come together")
        if self.displaces is not None and (len(self.displaces) != 32 or self.displaces == self.digest):
            raise ValueError("the displaced digest is not another 32 bytes")
        if self.reason is not None and self.reason not in REASONS:
            raise ValueError("unknown reason")
        if self.reason in SELF_SENT and self.kind != self.reason:
            raise ValueError("only a filler or cancel displaces as one")


def approve(
    allowed: Allowed,
    tx: Transaction,
    *,
    kind: Literal["submit", "sign_only"],
    agent_id: UUID,
    key_id: UUID,
    at: datetime,
) -> Approval:
    """Approve `tx` on the strength of a decision about it, for `LIFETIME` from the moment `at`.

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
    return _approval(tx, kind, agent_id, key_id, at)


def approve_filler(
    tx: Transaction,
    *,
    sender: bytes,
    agent_id: UUID,
    key_id: UUID,
    at: datetime,
    kind: Literal["filler", "cancel"] = "filler",
) -> Approval:
    """Approve a transaction that moves nothing and only settles a nonce; no limit of the agent's applies.

    Good for `LIFETIME` from the moment `at`.

    ValueError unless it goes from `sender` (20 bytes) to itself with neither value nor data. The gas ceiling and
    that the nonce is one of ours are the caller's to check.
    """
    if kind not in SELF_SENT:
        raise ValueError("this kind of approval needs a decision")
    if not is_filler(tx, sender):
        raise ValueError("not a filler: it must go to its own sender, with no value and no data")
    return _approval(tx, kind, agent_id, key_id, at)


def is_filler(tx: Transaction, sender: bytes) -> bool:
    """Does `tx` move nothing: from `sender` to itself, no value, no data?"""
    return len(sender) == 20 and tx.to == sender and tx.value == 0 and not tx.data


def displacing(approval: Approval, digest: bytes, reason: Reason) -> Approval:
    """The same permission, for the place of another digest (32 bytes) that was signed for this nonce.

    ValueError for the approval's own digest, or a reason that its kind may not give.
    """
    return replace(approval, id=uuid4(), displaces=digest, reason=reason)


def _approval(tx: Transaction, kind: Kind, agent_id: UUID, key_id: UUID, at: datetime) -> Approval:
    return Approval(
        id=uuid4(), kind=kind, agent_id=agent_id, key_id=key_id, digest=signing_digest(tx), expires_at=at + LIFETIME
    )
