"""One digest per address, chain and nonce: another only in the place of one that is named, and never unseen."""

import asyncio
import random
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from chains.transactions import Transaction, decode_signed, signing_digest
from guardrails.approval import Approval, Kind, Reason, displacing
from signer.client import PublicKeyInfo, SignedTransaction, SignerClient
from signer.errors import ApprovalRefused, DigestStands, ProtocolError, SignerError
from tests.support.approvals import approval_of, some_transaction
from tests.support.hsm import Hsm

FIRST, SECOND = some_transaction(value=3 * 10**18), some_transaction(value=2 * 10**18)


@pytest.fixture
async def key(signer: SignerClient) -> PublicKeyInfo:
    return await signer.generate_key(uuid4())


def rows(hsm: Hsm, query: str, *values: object) -> list[Any]:
    url = make_url(hsm.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()  # type: ignore[arg-type]  # ours, not a user's


def standing(hsm: Hsm, address: bytes, nonce: int = 7) -> tuple[bytes, int, bytes | None, str | None]:
    [(digest, value, displaced, reason)] = rows(
        hsm,
        "SELECT digest, value_wei, displaced, reason FROM signer.signed_nonces WHERE address = %s AND nonce = %s",
        address,
        nonce,
    )
    return bytes(digest), int(value), displaced and bytes(displaced), reason


def history(hsm: Hsm, address: bytes, nonce: int = 7) -> list[tuple[bytes, bytes | None, str | None]]:
    found = rows(
        hsm,
        "SELECT digest, displaces, reason FROM signer.redemptions WHERE address = %s AND nonce = %s"
        " ORDER BY sequence",
        address,
        nonce,
    )
    return [(bytes(digest), displaces and bytes(displaces), reason) for digest, displaces, reason in found]


async def sign(
    signer: SignerClient,
    key_id: UUID,
    transaction: Transaction,
    displaces: bytes | None = None,
    reason: Reason = "rolled_back",
    kind: Kind = "submit",
) -> SignedTransaction:
    approval = approval_of(key_id, transaction, kind)
    if displaces is not None:
        approval = displacing(approval, displaces, reason)
    return await signer.sign_transaction(approval, transaction)


async def test_a_second_digest_is_refused_and_told_which_one_stands(
    signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm
) -> None:
    await sign(signer, key.key_id, FIRST)
    with pytest.raises(DigestStands) as refused:
        await sign(signer, key.key_id, SECOND)
    assert refused.value.digest == signing_digest(FIRST)
    assert history(shared_hsm, key.address) == [(signing_digest(FIRST), None, None)]
    # what was refused is not used up, and what it would have taken the place of still stands
    assert standing(shared_hsm, key.address) == (signing_digest(FIRST), FIRST.value, None, None)


@pytest.mark.parametrize("change", [{"nonce": 8}, {"chain_id": 1}])
async def test_other_nonces_and_chains_are_other_places(
    signer: SignerClient, key: PublicKeyInfo, change: dict[str, int]
) -> None:
    await sign(signer, key.key_id, FIRST)
    await sign(signer, key.key_id, replace(FIRST, **change))


async def test_the_same_bytes_may_be_signed_again(signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm) -> None:
    first, again = await sign(signer, key.key_id, FIRST), await sign(signer, key.key_id, FIRST)
    assert decode_signed(first.raw) == decode_signed(again.raw) == (FIRST, key.address)
    assert standing(shared_hsm, key.address)[2:] == (None, None)


async def test_named_it_makes_way_and_is_remembered(
    signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm
) -> None:
    await sign(signer, key.key_id, FIRST)
    await sign(signer, key.key_id, SECOND, signing_digest(FIRST), "rolled_back")
    # either may be mined: the larger value stays spent
    assert standing(shared_hsm, key.address) == (
        signing_digest(SECOND),
        FIRST.value,
        signing_digest(FIRST),
        "rolled_back",
    )
    third = some_transaction(value=5 * 10**18)
    await sign(signer, key.key_id, third, signing_digest(SECOND), "chain_reset")
    assert standing(shared_hsm, key.address)[1] == third.value
    assert history(shared_hsm, key.address) == [
        (signing_digest(FIRST), None, None),
        (signing_digest(SECOND), signing_digest(FIRST), "rolled_back"),
        (signing_digest(third), signing_digest(SECOND), "chain_reset"),
    ]


async def test_only_the_digest_that_stands_can_be_displaced(
    signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm
) -> None:
    with pytest.raises(ApprovalRefused, match="where none was signed"):
        await sign(signer, key.key_id, FIRST, secrets.token_bytes(32))
    await sign(signer, key.key_id, FIRST)
    for named in (secrets.token_bytes(32), signing_digest(some_transaction(value=1))):
        with pytest.raises(DigestStands):
            await sign(signer, key.key_id, SECOND, named)
    await sign(signer, key.key_id, SECOND, signing_digest(FIRST))
    # one that was displaced does not stand any more, not even for the bytes that once were signed under it
    with pytest.raises(DigestStands):
        await sign(signer, key.key_id, FIRST)
    with pytest.raises(DigestStands):
        await sign(signer, key.key_id, some_transaction(value=1), signing_digest(FIRST))
    assert len(history(shared_hsm, key.address)) == 2


async def test_sign_only_is_no_reason_for_what_was_never_handed_out(signer: SignerClient, key: PublicKeyInfo) -> None:
    await sign(signer, key.key_id, FIRST)
    with pytest.raises(DigestStands, match="sign_only"):
        await sign(signer, key.key_id, SECOND, signing_digest(FIRST), "sign_only")
    handed_out = replace(FIRST, nonce=8)
    await sign(signer, key.key_id, handed_out, kind="sign_only")
    # the same bytes submitted are handed out all the same
    await sign(signer, key.key_id, handed_out)
    await sign(signer, key.key_id, replace(SECOND, nonce=8), signing_digest(handed_out), "sign_only")
    # what took its place was not
    with pytest.raises(DigestStands, match="sign_only"):
        await sign(
            signer, key.key_id, some_transaction(nonce=8), signing_digest(replace(SECOND, nonce=8)), "sign_only"
        )


async def test_a_speed_up_moves_no_more_than_before(signer: SignerClient, key: PublicKeyInfo) -> None:
    await sign(signer, key.key_id, SECOND)
    with pytest.raises(DigestStands, match="speed_up"):
        await sign(signer, key.key_id, FIRST, signing_digest(SECOND), "speed_up")
    faster = replace(SECOND, max_fee_per_gas=2 * SECOND.max_fee_per_gas)
    await sign(signer, key.key_id, faster, signing_digest(SECOND), "speed_up")


@pytest.mark.parametrize("reason", ["filler", "cancel"])
async def test_what_moves_value_is_no_filler_for_what_stands(
    signer: SignerClient, key: PublicKeyInfo, reason: Reason
) -> None:
    await sign(signer, key.key_id, FIRST)
    filler = some_transaction(to=key.address, value=0)
    await sign(signer, key.key_id, filler, signing_digest(FIRST), reason, kind=reason)  # type: ignore[arg-type]  # one of two
    lie = approval_of(key.key_id, SECOND)
    object.__setattr__(lie, "displaces", signing_digest(filler))
    object.__setattr__(lie, "reason", reason)
    with pytest.raises(ProtocolError):
        await signer.sign_transaction(lie, SECOND)
    object.__setattr__(lie, "kind", reason)
    with pytest.raises(ApprovalRefused, match="no value"):
        await signer.sign_transaction(lie, SECOND)


async def test_a_key_imported_twice_has_one_account(signer: SignerClient, shared_hsm: Hsm) -> None:
    private = secrets.token_bytes(32)
    first, second = await signer.import_key(uuid4(), private), await signer.import_key(uuid4(), private)
    assert first.address == second.address
    await sign(signer, first.key_id, FIRST)
    with pytest.raises(DigestStands):
        await sign(signer, second.key_id, SECOND)


async def test_the_ends_of_the_ranges_have_room(signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm) -> None:
    largest = some_transaction(chain_id=2**64 - 1, nonce=2**64 - 2, value=2**256 - 1)
    await sign(signer, key.key_id, largest)
    smaller = replace(largest, value=1)
    await sign(signer, key.key_id, smaller, signing_digest(largest))
    assert standing(shared_hsm, key.address, 2**64 - 2)[1] == 2**256 - 1


async def test_an_approval_lives_a_minute_at_most(signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm) -> None:
    # a minute and a little: the clock goes on between here and there
    for later in (timedelta(seconds=90), timedelta(days=365)):
        with pytest.raises(ApprovalRefused, match="60 seconds"):
            await signer.sign_transaction(approval_of(key.key_id, FIRST, expires_at=datetime.now(UTC) + later), FIRST)
    assert history(shared_hsm, key.address) == []


async def test_two_in_one_batch_for_one_nonce(signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm) -> None:
    others = [some_transaction(nonce=100 + number) for number in range(4)]
    rivals = [some_transaction(value=number) for number in range(1, 9)]
    outcomes = await asyncio.gather(
        *(sign(signer, key.key_id, transaction) for transaction in [*rivals, *others]), return_exceptions=True
    )
    signed = [each for each in outcomes[: len(rivals)] if isinstance(each, SignedTransaction)]
    assert len(signed) == 1
    assert all(isinstance(each, SignedTransaction) for each in outcomes[len(rivals) :])
    winner = signing_digest(decode_signed(signed[0].raw)[0])
    for each in outcomes[: len(rivals)]:
        assert isinstance(each, SignedTransaction) or (isinstance(each, DigestStands) and each.digest == winner)


async def test_whatever_is_asked_of_two_signers_every_signature_but_one_is_named(hsm: Hsm) -> None:
    """Somebody who holds the API asks for whatever he likes, again and again, at the same nonces."""
    await hsm.start()
    first = hsm.client()
    private = secrets.token_bytes(32)
    keys = [await first.import_key(uuid4(), private) for _ in range(2)]
    await hsm.start()
    clients = [first] + [hsm.client() for _ in range(5)]
    rng = random.Random(5)
    transactions = [some_transaction(nonce=nonce, value=value) for nonce in (1, 2) for value in range(1, 4)]
    kept: list[tuple[Approval, Transaction]] = []

    async def ask(client: SignerClient) -> tuple[int, bytes] | None:
        transaction = rng.choice(transactions)
        approval = approval_of(rng.choice(keys).key_id, transaction, rng.choice(["submit", "sign_only"]))
        if rng.random() < 0.2 and kept:
            # an approval that was used before, for other bytes perhaps
            approval = replace(approval, id=rng.choice(kept)[0].id)
        other = rng.choice(transactions)
        if rng.random() < 0.7 and other.value != transaction.value:
            named = signing_digest(replace(transaction, value=other.value))
            approval = replace(
                approval, displaces=named, reason=rng.choice(["rolled_back", "sign_only", "speed_up", "chain_reset"])
            )
        kept.append((approval, transaction))
        try:
            signed = await client.sign_transaction(approval, transaction)
        except SignerError:
            return None
        return transaction.nonce, signing_digest(decode_signed(signed.raw)[0])

    seen: set[tuple[int, bytes]] = set()
    for _ in range(12):
        got = await asyncio.gather(*(ask(client) for client in clients * 4))
        seen |= {each for each in got if each is not None}
    address = keys[0].address
    assert len(seen) > 2
    for nonce in (1, 2):
        # played back, every digest in the record is the one that stood, or takes its place by name
        stood: bytes | None = None
        recorded = set()
        for digest, displaces, _ in history(hsm, address, nonce):
            assert displaces == (None if stood in (None, digest) else stood)
            stood = digest
            recorded.add(digest)
        assert standing(hsm, address, nonce)[0] == stood
        assert {digest for at, digest in seen if at == nonce} <= recorded
    for client in clients:
        await client.close()
