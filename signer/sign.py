"""Sign transactions under approvals: check, redeem, sign, normalise, recover, compare. In this order.

The digest is computed here, from the transaction itself; what the caller says it is only has to agree. Redeeming and
signing overlap, but no signature leaves before the database has the redemption: a crash in between costs an
approval, never a second signature.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from chains.transactions import Transaction, decode_signed, encode_signed, signing_digest, transaction_hash
from guardrails.approval import MAX_LIFETIME, SELF_SENT, Approval, is_filler
from signer.ecdsa import normalise
from signer.errors import ApprovalRefused, SignerError, SignerUnavailable
from signer.hsm import Hsm
from signer.keys import Keys, LoadedKey
from signer.redeem import Redeemed, Redeeming
from signer.store import Store

# one statement and one commit for all of them, whose answers wait for no more than this many signatures
MAX_BATCH: Final = 16


@dataclass(frozen=True)
class Request:
    """A transaction, and the approval that should cover it."""

    approval: Approval
    transaction: Transaction


@dataclass(frozen=True)
class Signed:
    """The raw transaction, its hash and its sender."""

    raw: bytes = field(repr=False)
    hash: bytes
    sender: bytes


Outcome = Signed | SignerError
Answer = Callable[[Outcome], None]
Checked = tuple[Request, Answer, LoadedKey]


class Signing:
    """Signs batches: several wallets' transactions share one commit."""

    def __init__(self, hsm: Hsm, keys: Keys, store: Store) -> None:
        self._hsm, self._keys, self._store = hsm, keys, store

    async def batch(self, requests: Sequence[tuple[Request, Answer]]) -> None:
        """Answer every request once: a signature, ApprovalRefused (DigestStands), KeyNotFound, SignerUnavailable."""
        # 1. Check, before anything is used up.
        checked = await self._checked(requests)
        while checked:
            # two for one nonce: which digest stands when the second is looked at, the first decides
            turn, checked = _one_per_place(checked)
            await self._redeem_and_sign(turn)

    async def _redeem_and_sign(self, checked: Sequence[Checked]) -> None:
        # 2. Redeem: the statement is on its way while the HSM signs.
        async with asyncio.TaskGroup() as tasks:
            redeeming = tasks.create_task(self._redeem([_redeeming(request, key) for request, _, key in checked]))
            signed: list[tuple[Request, Answer, Outcome]] = []
            for request, answer, key in checked:
                # lets the statement out, an answer of the database in, and what must not wait go ahead
                await asyncio.sleep(0)
                # 3. Sign.
                signed.append((request, answer, self._sign(key, request.transaction)))
                # 4. Release what has both a signature and its redemption.
                if redeeming.done():
                    _release(signed, redeeming.result())
            _release(signed, await redeeming)

    async def _checked(self, requests: Sequence[tuple[Request, Answer]]) -> list[Checked]:
        checked, seen = [], set[UUID]()
        for request, answer in requests:
            try:
                if request.approval.id in seen:
                    raise ApprovalRefused("the approval was redeemed before")
                key = await self._keys.load(request.approval.key_id)
                check(request.approval, request.transaction, key.address, datetime.now(UTC))
            except SignerError as error:
                answer(error)
            else:
                seen.add(request.approval.id)
                checked.append((request, answer, key))
        return checked

    async def _redeem(self, asked: Sequence[Redeeming]) -> Redeemed | SignerUnavailable:
        try:
            return await self._store.redeem(asked)
        except SignerUnavailable as error:
            return error

    def _sign(self, key: LoadedKey, transaction: Transaction) -> Outcome:
        try:
            return sign(self._hsm, key, transaction)
        except SignerError as error:
            return error


def check(approval: Approval, transaction: Transaction, address: bytes, now: datetime) -> None:
    """ApprovalRefused unless the approval covers these bytes, now, from this address (20 bytes)."""
    if signing_digest(transaction) != approval.digest:
        raise ApprovalRefused("the approval is for other bytes")
    if approval.expires_at <= now:
        raise ApprovalRefused("the approval has expired")
    if approval.expires_at > now + MAX_LIFETIME:
        raise ApprovalRefused(f"an approval lives {MAX_LIFETIME.seconds} seconds at most")
    if approval.kind in SELF_SENT and not is_filler(transaction, address):
        raise ApprovalRefused("a filler goes to its own sender, with no value and no data")


def sign(hsm: Hsm, key: LoadedKey, transaction: Transaction) -> Signed:
    """Sign and prove the result; it must not leave before its approval is redeemed."""
    digest = signing_digest(transaction)
    signature = normalise(hsm.guarded(lambda: hsm.sign_digest(key.handle, digest)), digest, key.address)
    raw = encode_signed(transaction, signature.r, signature.s, signature.y_parity)
    # Read back what will leave: the bytes must say what was asked, and recover to the key that was meant
    if decode_signed(raw) != (transaction, key.address):
        raise SignerUnavailable("the signed bytes do not say what was approved")
    return Signed(raw, transaction_hash(raw), key.address)


def _redeeming(request: Request, key: LoadedKey) -> Redeeming:
    transaction = request.transaction
    return Redeeming(request.approval, key.address, transaction.chain_id, transaction.nonce, transaction.value)


def _one_per_place(checked: Sequence[Checked]) -> tuple[list[Checked], list[Checked]]:
    """The first request for every nonce of an account, and the rest."""
    first: list[Checked] = []
    rest: list[Checked] = []
    places = set[tuple[bytes, int, int]]()
    for each in checked:
        place = _redeeming(each[0], each[2]).place
        (rest if place in places else first).append(each)
        places.add(place)
    return first, rest


def _release(signed: list[tuple[Request, Answer, Outcome]], redeemed: Redeemed | SignerUnavailable) -> None:
    for request, answer, outcome in signed:
        if isinstance(redeemed, SignerUnavailable):
            answer(redeemed)
        else:
            answer(redeemed[request.approval.id] or outcome)
    signed.clear()
