"""GET /v1/audit/verify: walk along a part of the chain and hold it against every head that was signed."""

import base64
from dataclasses import asdict

from vault.audit.chain import Findings, Head, Walk, check_head
from vault.audit.reader import MAX_BEYOND, Reader
from vault.audit.schemas import FindingResponse, HeadResponse, VerifyResponse
from vault.auth.caller import Caller
from vault.context import Context


async def verify_part(
    context: Context, caller: Caller, first: int, limit: int, first_signature: int | None
) -> VerifyResponse:
    """At most `limit` positions from `first` on; what lies before is taken as it is.

    Signatures are compared from `first_signature` on; without it with the first part only.
    """
    if first_signature is None and first == 1:
        first_signature = 1
    reader, org_id = Reader(context.database, caller.org_id), caller.org_id
    keys = {key.kid: key.public_key for key in await context.signer.audit_keys()}
    # heads before seals: what was signed by then must be there now
    recorded, newest = await context.signer.audit_head(org_id), await reader.newest_head()
    sealed_to = await reader.sealed_to()
    upto = min(first + limit - 1, sealed_to)
    ends = upto == sealed_to or first > sealed_to
    walk = Walk(org_id, await reader.seal(first - 1) if first > 1 else None)
    async for piece in reader.pieces(first, upto, to_the_end=ends):
        hashes: dict[int, str] = {}
        for seal, event in piece.chain:
            walk.step(seal, event)
            hashes[seal.position] = seal.integrity_hash
        for head in piece.heads:
            _hold(walk.findings, head, keys, caller, hashes.get(head.position))
        for event in piece.unsealed:
            walk.findings.add("unsealed", "an event without a seal for over a minute", event_id=event.id)
    if newest is not None and newest.position > upto:
        for head in await reader.heads(max(upto, sealed_to) + 1, newest.position, MAX_BEYOND):
            _hold(walk.findings, head, keys, caller, None)
        if newest.position <= sealed_to:
            seal_ = await reader.seal(newest.position)
            _hold(walk.findings, newest, keys, caller, seal_.integrity_hash if seal_ else None)
    if recorded is not None:
        found = await reader.seal(recorded.position)
        if found is None or found.integrity_hash != recorded.integrity_hash:
            kind = "truncated" if found is None else "rolled_back"
            walk.findings.add(kind, "the signer signed another head here, by its own record", recorded.position)
    if ends:
        for event_id in await reader.orphans():
            walk.findings.add("missing_event", "the event was deleted before it was sealed", event_id=event_id)
    compared = None
    if first_signature is not None and context.compare_signatures is not None:
        compared = await context.compare_signatures(context.database, org_id, first_signature)
    return VerifyResponse(
        valid=walk.findings.count == 0,
        checked=walk.checked,
        sealed_to=sealed_to,
        unsealed=await reader.waiting(),
        head=shown(newest) if newest else None,
        findings=[FindingResponse(**asdict(each)) for each in walk.findings.listed],
        next_position=None if ends else upto + 1,
        unaccounted_signatures=compared and compared.unaccounted,
        displaced_digests=compared and compared.displaced,
        next_signature=compared and compared.next_sequence,
    )


def shown(head: Head) -> HeadResponse:
    """A head as it is answered and exported."""
    return HeadResponse(**{**vars(head), "signature": base64.b64encode(head.signature).decode()})


def _hold(findings: Findings, head: Head, keys: dict[str, bytes], caller: Caller, integrity_hash: str | None) -> None:
    if fault := check_head(head, caller.org_id, keys, integrity_hash):
        findings.add(fault.kind, fault.detail, fault.position)
