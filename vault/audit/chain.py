"""What contradicts an organisation's hash chain (`signer/audit_chain.py`) and its signed heads.

Pure: server and auditor run this.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.audit_chain import Event, Seal, microseconds, seal
from signer.audit_message import head_message

MAX_FINDINGS: Final = 100


@dataclass(frozen=True)
class Head:
    """A signed statement of the HSM: at that time, the chain's hash at this position was this one."""

    org_id: UUID
    position: int
    integrity_hash: str
    kid: str
    signature: bytes = field(repr=False)
    signed_at: datetime


@dataclass(frozen=True)
class Finding:
    """Something that contradicts the chain or its heads; `kind` is for programs, `detail` for people."""

    kind: str
    detail: str
    position: int | None = None
    event_id: UUID | None = None


@dataclass
class Findings:
    """What was found, the first `MAX_FINDINGS` of it in full."""

    listed: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, kind: str, detail: str, position: int | None = None, event_id: UUID | None = None) -> None:
        """Note one."""
        self.count += 1
        if len(self.listed) < MAX_FINDINGS:
            self.listed.append(Finding(kind, detail, position, event_id))


class Walk:
    """Goes along a chain from its first event, or from behind a seal that is taken as it is."""

    def __init__(self, org_id: UUID, last: Seal | None = None) -> None:
        self.org_id, self.last = org_id, last
        self.findings = Findings()
        self.checked = 0

    def step(self, found: Seal, event: Event | None) -> None:
        """Check the next seal and its event; goes on from what the seal says, so each fault is found once."""
        position, last = found.position, self.last
        self.last = found
        self.checked += 1
        expected = 1 if last is None else last.position + 1
        if position != expected:
            kind = "missing_seal" if position > expected else "reordered"
            self.findings.add(kind, f"position {position} where {expected} belongs", position, found.event_id)
        if event is None:
            self.findings.add("missing_event", "the sealed event is gone", position, found.event_id)
        elif event.id != found.event_id or event.org_id != self.org_id:
            self.findings.add("altered", "the seal belongs to another event", position, event.id)
        elif position == expected:
            self._check(found, event, last)

    def _check(self, found: Seal, event: Event, last: Seal | None) -> None:
        sealed = seal(event, last)
        if sealed.integrity_hash != found.integrity_hash:
            self.findings.add("altered", "event, seal or place differ from what was sealed", found.position, event.id)
        elif sealed.prev_event_id != found.prev_event_id:
            self.findings.add("wrong_link", "prev_event_id names another event", found.position, event.id)


def check_signature(head: Head, keys: Mapping[str, bytes]) -> Finding | None:
    """Whether a key of these (by kid) signed the head."""
    if head.kid not in keys:
        return Finding("unknown_key", f"signed by key {head.kid}, which is not among the known", head.position)
    try:
        message = head_message(head.org_id, head.position, head.integrity_hash, microseconds(head.signed_at))
        Ed25519PublicKey.from_public_bytes(keys[head.kid]).verify(head.signature, message)
    except (ValueError, InvalidSignature):
        return Finding("forged_head", "the signature does not fit", head.position)
    return None


def check_head(head: Head, org_id: UUID, keys: Mapping[str, bytes], integrity_hash: str | None) -> Finding | None:
    """Hold a head against the chain's hash at its position (None: the chain does not reach it)."""
    if head.org_id != org_id:
        return Finding("forged_head", "a head of another organisation", head.position)
    if (fault := check_signature(head, keys)) is not None:
        return fault
    if integrity_hash is None:
        return Finding("truncated", "a head was signed here, but the chain ends before or has a hole", head.position)
    if integrity_hash != head.integrity_hash:
        return Finding("rolled_back", "another hash was signed here: events up to it were rewritten", head.position)
    return None


def verify(
    org_id: UUID, chain: Iterable[tuple[Seal, Event | None]], heads: Iterable[Head], keys: Mapping[str, bytes]
) -> Findings:
    """All that is wrong with a whole chain that fits into memory."""
    walk = Walk(org_id)
    hashes: dict[int, str] = {}
    for found, event in chain:
        walk.step(found, event)
        hashes[found.position] = found.integrity_hash
    for head in heads:
        if fault := check_head(head, org_id, keys, hashes.get(head.position)):
            walk.findings.add(fault.kind, fault.detail, fault.position, fault.event_id)
    return walk.findings
