"""Proof that a transaction can no longer be mined: its nonce was used up in a final block that does not hold it.

A wrong proof is a double payment, so it takes every endpoint that answers: each lists all that is in the block, and
none of them knows our transaction. One that answers differently, or not completely, is a reason to wait.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chains.chain import Chain
from chains.errors import RpcError, RpcRefused, RpcUnavailable
from chains.finality import Finality
from chains.nonce_user import Listing, NoList, NoState, NotUsedYet, block_that_used, listing, named_in
from chains.rpc import ChainClient

# An endpoint that did not answer the last time is given so long to be a witness all the same
OUT_OF_USE_S: Final = 1.5


@dataclass(frozen=True)
class Claim:
    """Nonce `nonce` of `address`, which none of the transactions `own` (hashes) is said to have used."""

    address: bytes
    nonce: int
    own: frozenset[bytes]


@dataclass(frozen=True)
class Where:
    """A transaction of ours that is said to have used the nonce: in which block we saw it."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes


@dataclass(frozen=True)
class Settled:
    """Proven: the nonce was used up in this final block, by `user` where that can be named."""

    block_number: int
    user: bytes | None


@dataclass(frozen=True)
class Unproven:
    """Not proven (yet), and why; "" when there is nothing to say but that the block is not final yet."""

    why: str


@dataclass(frozen=True)
class _Witness:
    client: ChainClient
    latest: Any
    finalized: Any
    finality: Finality
    confirmations: int
    knows_ours: bool

    @property
    def final_block(self) -> int:
        """Judged when all were heard: what one names as final says that the chain has finality."""
        return self.finality.final_block(self.latest, self.finalized, self.confirmations)


async def prove(client: ChainClient, chain: Chain, claim: Claim, seen: Where | None = None) -> Settled | Unproven:
    """Ask every endpoint. With `seen`, the block is known and no historical state is needed.

    RpcUnavailable or WrongChain when none answers.
    """
    endpoints = client.each()
    answers = await asyncio.gather(*(_witness(each, chain, claim) for each in endpoints), return_exceptions=True)
    witnesses = _those_that_answered(answers)
    if any(witness.knows_ours for witness in witnesses):
        return Unproven("an endpoint knows the transaction in a block")
    if all(witness.final_block < 0 for witness in witnesses):
        return Unproven("no endpoint says up to which block the chain is final")
    number = seen.block_number if seen is not None else await _block(witnesses, claim)
    if isinstance(number, Unproven):
        return number
    reached = [witness for witness in witnesses if witness.final_block >= number]
    if not reached:
        return Unproven("")
    try:
        listed = await asyncio.gather(
            *(listing(witness.client, number, named=seen is None) for witness in reached), return_exceptions=True
        )
        return _judge(_those_that_answered(listed), claim, seen, needed=min(2, len(endpoints)))
    except NoList as error:
        return Unproven(f"an endpoint does not show all of block {number} ({error})")


async def _witness(client: ChainClient, chain: Chain, claim: Claim) -> _Witness:
    """One endpoint's own final block, and whether it has a receipt of ours (that it has none proves nothing)."""
    try:
        async with asyncio.timeout(None if client.is_sound else OUT_OF_USE_S):
            (latest, _), (finalized, finality), *receipts = await client.batch_by(
                [
                    ("eth_blockNumber", []),
                    ("eth_getBlockByNumber", ["finalized", False]),
                    *(("eth_getTransactionReceipt", [f"0x{each.hex()}"]) for each in claim.own),
                ]
            )
    except TimeoutError:
        raise RpcUnavailable("an endpoint out of use did not answer") from None
    knows_ours = any(each is not None and not isinstance(each, RpcRefused) for each, _ in receipts)
    finality.hear(latest, finalized)
    return _Witness(client, latest, finalized, finality, chain.confirmations, knows_ours)


async def _block(witnesses: Sequence[_Witness], claim: Claim) -> int | Unproven:
    """The one block in which the account's count passes the nonce, by everybody who has the state."""
    found = await asyncio.gather(
        *(block_that_used(each.client, claim.address, claim.nonce, each.final_block) for each in witnesses),
        return_exceptions=True,
    )
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, RpcError):
            raise each
    numbers = {each for each in found if isinstance(each, int)}
    if len(numbers) > 1:
        return Unproven("the endpoints name different blocks")
    early = [witness for witness, each in zip(witnesses, found, strict=True) if isinstance(each, NotUsedYet)]
    if not numbers:
        if not early and any(isinstance(each, NoState) for each in found):
            return Unproven("no endpoint has the state of the block that used it")
        return Unproven("")
    (number,) = numbers
    if any(witness.final_block >= number for witness in early):
        return Unproven("the endpoints contradict each other about the account's count")
    return number


def _judge(listings: Sequence[Listing], claim: Claim, seen: Where | None, needed: int) -> Settled | Unproven:
    if len(listings) < needed:
        return Unproven(f"it takes the word of {needed} endpoints, and {len(listings)} of them has the final block")
    if len({each.block_hash for each in listings}) != 1:
        return Unproven("the endpoints show different blocks of one number")
    if any(each.hashes & claim.own for each in listings):
        return Unproven("the block holds the transaction itself")
    if seen is not None:
        if any(each.block_hash != seen.block_hash or seen.tx_hash not in each.hashes for each in listings):
            return Unproven("not every endpoint shows the transaction that used it")
        return Settled(seen.block_number, seen.tx_hash)
    users = {named_in(each, claim.address, claim.nonce) for each in listings} - {None}
    if len(users) > 1:
        return Unproven("the endpoints name different transactions")
    return Settled(listings[0].number, users.pop() if users else None)


def _those_that_answered(answers: Sequence[Any]) -> list[Any]:
    """The answers; who could not be asked is no witness. Raises what says something else, or if nobody answered."""
    good = [each for each in answers if not isinstance(each, BaseException)]
    for each in answers:
        if isinstance(each, NoList) or (isinstance(each, BaseException) and not isinstance(each, RpcError)):
            raise each
    if not good:
        raise answers[0]
    return good
