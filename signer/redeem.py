"""Use approvals up, and keep one digest per address, chain and nonce: one durable statement for a whole batch.

A second digest at a nonce is two signatures of which either may be mined, so it takes an approval that names the
first; whoever holds the API cannot have both without a row here that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson

from guardrails.approval import Approval
from signer.errors import ApprovalRefused, DigestStands, SignerUnavailable
from signer.link import DuplicateRow, Link, Row

# Another signer process may redeem the same approval at the same moment, and again while we ask a second time
MAX_TRIES: Final = 3


@dataclass(frozen=True)
class Redeeming:
    """An approval, and what its digest is of: the 20-byte account, chain, nonce and value (wei)."""

    approval: Approval
    address: bytes
    chain_id: int
    nonce: int
    value_wei: int

    @property
    def place(self) -> tuple[bytes, int, int]:
        """Where only one digest stands."""
        return self.address, self.chain_id, self.nonce


# None: redeemed, the signature may leave
Redeemed = dict[UUID, ApprovalRefused | None]

_ASKED: Final = """
    WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST($1 AS json)) AS asked (
            approval_id uuid, agent_id uuid, key_id uuid, kind text, digest bytea,
            address bytea, chain_id numeric, nonce numeric, value_wei numeric, displaces bytea, reason text)
    )
"""
# Ordered, so that two signers with the same places wait for each other but never in a circle. What stands is read
# from the row that is locked, not from the snapshot: of two signers with two digests the second finds the first.
# A redemption that exists already fails the statement, because the place must not change without one.
_REDEEM: Final = f"""{_ASKED}, placed AS (
        INSERT INTO signer.signed_nonces AS stands
            (address, chain_id, nonce, digest, handed_out, value_wei, displaced, reason)
        SELECT address, chain_id, nonce, digest, kind = 'sign_only', value_wei, displaces, reason FROM asked
        WHERE NOT EXISTS (SELECT FROM signer.redemptions done WHERE done.approval_id = asked.approval_id)
          AND (displaces IS NULL OR EXISTS (
              SELECT FROM signer.signed_nonces at WHERE at.address = asked.address
              AND at.chain_id = asked.chain_id AND at.nonce = asked.nonce))
        ORDER BY address, chain_id, nonce
        ON CONFLICT (address, chain_id, nonce) DO UPDATE
        SET digest = excluded.digest,
            handed_out = excluded.handed_out OR (stands.handed_out AND stands.digest = excluded.digest),
            value_wei = GREATEST(stands.value_wei, excluded.value_wei),
            displaced = COALESCE(excluded.displaced, stands.displaced),
            reason = COALESCE(excluded.reason, stands.reason),
            signed_at = clock_timestamp()
        WHERE (excluded.displaced IS NULL AND stands.digest = excluded.digest)
           OR (stands.digest = excluded.displaced
               AND (excluded.reason <> 'sign_only' OR stands.handed_out)
               AND (excluded.reason <> 'speed_up' OR excluded.value_wei <= stands.value_wei))
        RETURNING address, chain_id, nonce
    )
    INSERT INTO signer.redemptions (approval_id, agent_id, key_id, kind, digest,
                                    address, chain_id, nonce, value_wei, displaces, reason)
    SELECT approval_id, agent_id, key_id, kind, digest, address, chain_id, nonce, value_wei, displaces, reason
    FROM asked JOIN placed USING (address, chain_id, nonce)
    RETURNING approval_id
"""  # noqa: S608 - put together from constants of this file
_REFUSED: Final = f"""{_ASKED}
    SELECT asked.approval_id, stands.digest FROM asked
    LEFT JOIN signer.signed_nonces stands USING (address, chain_id, nonce)
    WHERE NOT EXISTS (SELECT FROM signer.redemptions done WHERE done.approval_id = asked.approval_id)
"""  # noqa: S608 - as above


async def redeem(link: Link, asked: Sequence[Redeeming]) -> Redeemed:
    """Whether each approval may be turned into its signature, by id; durable when this returns.

    At most one of `asked` for a place (`Redeeming.place`), and each approval once. SignerUnavailable when the
    database does not answer: what became of them is then unknown, and none may be used.
    """
    rows = await _insert(link, orjson.dumps([_row(each) for each in asked]).decode())
    redeemed: Redeemed = {UUID(bytes=_bytes(row[0])): None for row in rows}
    refused = [each for each in asked if each.approval.id not in redeemed]
    if refused:
        rows = await link.rows(_REFUSED, orjson.dumps([_row(each) for each in refused]).decode())
        unused = {UUID(bytes=_bytes(row[0])): row[1] for row in rows}
        redeemed |= {each.approval.id: _refusal(each, unused) for each in refused}
    return redeemed


async def _insert(link: Link, asked: str) -> list[Row]:
    for _ in range(MAX_TRIES):
        try:
            return await link.rows(_REDEEM, asked)
        except DuplicateRow:
            continue  # the other signer's redemption is there now, and the next look sees it
    raise SignerUnavailable("other signers redeem the same approvals")


def _refusal(asked: Redeeming, unused: dict[UUID, bytes | None]) -> ApprovalRefused:
    if asked.approval.id not in unused:
        return ApprovalRefused("the approval was redeemed before")
    standing = unused[asked.approval.id]
    if standing is None:
        return ApprovalRefused("the approval displaces a digest where none was signed")
    if asked.approval.displaces == standing:
        return DigestStands(f"the digest signed for this nonce does not go by {asked.approval.reason}", standing)
    return DigestStands("another digest was signed for this nonce", standing)


def _row(asked: Redeeming) -> dict[str, str | None]:
    approval = asked.approval
    return {
        "approval_id": str(approval.id),
        "agent_id": str(approval.agent_id),
        "key_id": str(approval.key_id),
        "kind": approval.kind,
        "digest": _hex(approval.digest),
        "address": _hex(asked.address),
        # as text: JSON's numbers end where a double does
        "chain_id": str(asked.chain_id),
        "nonce": str(asked.nonce),
        "value_wei": str(asked.value_wei),
        "displaces": None if approval.displaces is None else _hex(approval.displaces),
        "reason": approval.reason,
    }


def _hex(data: bytes) -> str:
    return f"\\x{data.hex()}"


def _bytes(column: bytes | None) -> bytes:
    assert column is not None
    return column
