import asyncio
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from eth_account import Account
from sqlalchemy import make_url

from chains.transactions import decode_signed, signing_digest, transaction_hash
from signer.client import PublicKeyInfo, SignedTransaction, SignerClient
from signer.errors import ApprovalRefused, ProtocolError
from tests.support.approvals import approval_of, some_transaction
from tests.support.hsm import Hsm


@pytest.fixture
async def key(signer: SignerClient) -> PublicKeyInfo:
    return await signer.generate_key(uuid4())


def redemptions(hsm: Hsm) -> int:
    url = make_url(hsm.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM signer.redemptions").fetchone()
    assert row is not None
    return int(row[0])


async def test_what_leaves_says_what_was_asked(signer: SignerClient, key: PublicKeyInfo) -> None:
    transaction = some_transaction(data=b"\x01\x02")
    signed = await signer.sign_transaction(approval_of(key.key_id, transaction), transaction)
    assert decode_signed(signed.raw) == (transaction, key.address)
    assert signed.hash == transaction_hash(signed.raw)
    assert signed.sender == key.address
    assert bytes.fromhex(Account.recover_transaction(signed.raw)[2:]) == key.address


@pytest.mark.parametrize(
    "change",
    [
        {"value": 10**18 + 1},
        {"to": b"\x01" * 20},
        {"nonce": 8},
        {"chain_id": 1},
        {"data": b"\x00"},
        {"gas_limit": 21_001},
        {"max_fee_per_gas": 3 * 10**9 + 1},
        {"max_priority_fee_per_gas": 10**9 + 1},
    ],
)
async def test_an_approval_covers_no_other_bytes(
    signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm, change: dict[str, object]
) -> None:
    before = redemptions(shared_hsm)
    with pytest.raises(ApprovalRefused, match="other bytes"):
        await signer.sign_transaction(approval_of(key.key_id, some_transaction()), some_transaction(**change))
    assert redemptions(shared_hsm) == before


async def test_a_tampered_digest_is_refused(signer: SignerClient, key: PublicKeyInfo) -> None:
    transaction = some_transaction()
    with pytest.raises(ApprovalRefused, match="other bytes"):
        await signer.sign_transaction(
            approval_of(key.key_id, transaction, digest=secrets.token_bytes(32)), transaction
        )


async def test_an_expired_approval_is_refused_and_stays_unused(
    signer: SignerClient, key: PublicKeyInfo, shared_hsm: Hsm
) -> None:
    before, transaction = redemptions(shared_hsm), some_transaction()
    expired = approval_of(key.key_id, transaction, expires_at=datetime.now(UTC) - timedelta(milliseconds=1))
    with pytest.raises(ApprovalRefused, match="expired"):
        await signer.sign_transaction(expired, transaction)
    assert redemptions(shared_hsm) == before


async def test_an_approval_is_redeemed_once(signer: SignerClient, key: PublicKeyInfo) -> None:
    transaction = some_transaction()
    approval = approval_of(key.key_id, transaction)
    await signer.sign_transaction(approval, transaction)
    with pytest.raises(ApprovalRefused, match="redeemed"):
        await signer.sign_transaction(approval, transaction)
    # nor does another transaction under the same id
    other = some_transaction(nonce=8)
    with pytest.raises(ApprovalRefused, match="redeemed"):
        await signer.sign_transaction(replace(approval, digest=signing_digest(other)), other)


async def test_of_many_at_once_with_one_approval_one_gets_a_signature(hsm: Hsm) -> None:
    """Over two signer processes, so that the database has to decide."""
    await hsm.start()
    first = hsm.client()
    key = await first.generate_key(uuid4())
    clients = [first] + [hsm.client() for _ in range(7)]
    await hsm.start()
    for _ in range(10):
        transaction = some_transaction(nonce=secrets.randbelow(1000))
        approval = approval_of(key.key_id, transaction)
        outcomes = await asyncio.gather(
            *(client.sign_transaction(approval, transaction) for client in clients * 4), return_exceptions=True
        )
        assert len([each for each in outcomes if isinstance(each, SignedTransaction)]) == 1
        assert len([each for each in outcomes if isinstance(each, ApprovalRefused)]) == len(outcomes) - 1
    assert redemptions(hsm) == 10
    for client in clients:
        await client.close()


@pytest.mark.parametrize("kind", ["filler", "cancel"])
async def test_a_filler_moves_nothing(signer: SignerClient, key: PublicKeyInfo, kind: str) -> None:
    filler = some_transaction(to=key.address, value=0)
    signed = await signer.sign_transaction(approval_of(key.key_id, filler, kind), filler)  # type: ignore[arg-type]  # kind is a parameter
    assert decode_signed(signed.raw) == (filler, key.address)


@pytest.mark.parametrize("change", [{"value": 1}, {"data": b"\x00"}, {"to": b"\x01" * 20}])
@pytest.mark.parametrize("kind", ["filler", "cancel"])
async def test_what_moves_something_is_no_filler(
    signer: SignerClient, key: PublicKeyInfo, kind: str, change: dict[str, object]
) -> None:
    transaction = some_transaction(**{"to": key.address, "value": 0} | change)
    with pytest.raises(ApprovalRefused, match="filler"):
        await signer.sign_transaction(approval_of(key.key_id, transaction, kind), transaction)  # type: ignore[arg-type]  # kind is a parameter


async def test_a_batch_keeps_the_good_ones_apart_from_the_bad(signer: SignerClient, key: PublicKeyInfo) -> None:
    good = [some_transaction(nonce=number) for number in range(30)]
    bad = [some_transaction(nonce=number, value=5) for number in range(30)]
    outcomes = await asyncio.gather(
        *(
            signer.sign_transaction(approval_of(key.key_id, approved), sent)
            for pair in zip(good, bad, strict=True)
            for approved, sent in ((pair[0], pair[0]), (pair[0], pair[1]))
        ),
        return_exceptions=True,
    )
    for number, transaction in enumerate(good):
        signed = outcomes[2 * number]
        assert isinstance(signed, SignedTransaction)
        assert decode_signed(signed.raw) == (transaction, key.address)
        assert isinstance(outcomes[2 * number + 1], ApprovalRefused)


async def test_an_unknown_kind_is_not_of_the_protocol(signer: SignerClient, key: PublicKeyInfo) -> None:
    transaction = some_transaction()
    approval = approval_of(key.key_id, transaction)
    object.__setattr__(approval, "kind", "anything")
    with pytest.raises(ProtocolError):
        await signer.sign_transaction(approval, transaction)
