import asyncio
import hashlib
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.audit_message import head_message
from signer.client import SignerClient
from signer.errors import AuditHeadRefused, ProtocolError
from tests.support.hsm import Hsm


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_head_is_signed_by_a_key_that_signs_nothing_else(signer: SignerClient) -> None:
    org_id, hash_ = uuid4(), digest("one")
    signed = await signer.sign_audit_head(org_id, 7, hash_)
    (key,) = await signer.audit_keys()
    assert (key.kid, key.retired) == (signed.kid, False)
    assert key.public_key not in {each.public_key for each in await signer.jwt_keys()}
    public = Ed25519PublicKey.from_public_bytes(key.public_key)
    public.verify(signed.signature, head_message(org_id, 7, hash_, signed.signed_at_us))
    for other in (
        head_message(uuid4(), 7, hash_, signed.signed_at_us),
        head_message(org_id, 8, hash_, signed.signed_at_us),
        head_message(org_id, 7, digest("two"), signed.signed_at_us),
        head_message(org_id, 7, hash_, signed.signed_at_us + 1),
    ):
        with pytest.raises(InvalidSignature):
            public.verify(signed.signature, other)


async def test_no_head_behind_or_in_place_of_the_newest_is_signed(signer: SignerClient) -> None:
    org_id = uuid4()
    assert await signer.audit_head(org_id) is None
    first = await signer.sign_audit_head(org_id, 5, digest("five"))
    for position, hash_ in ((4, digest("four")), (5, digest("another five")), (1, digest("five"))):
        with pytest.raises(AuditHeadRefused):
            await signer.sign_audit_head(org_id, position, hash_)
    # the same one again is no contradiction: the first answer may have been lost
    again = await signer.sign_audit_head(org_id, 5, digest("five"))
    assert again.signed_at_us >= first.signed_at_us
    await signer.sign_audit_head(org_id, 2**40, digest("far"))
    head = await signer.audit_head(org_id)
    assert head is not None
    assert (head.position, head.integrity_hash) == (2**40, digest("far"))
    # another organisation has a chain of its own
    await signer.sign_audit_head(uuid4(), 1, digest("one"))


@pytest.mark.parametrize(
    ("position", "hash_"),
    [
        (0, digest("")),
        (-1, digest("")),
        (2**63, digest("")),
        (1, ""),
        (1, "ab"),
        (1, digest("").upper()),
        (1, "zz" * 32),
    ],
)
async def test_what_is_no_head_is_refused(signer: SignerClient, position: int, hash_: str) -> None:
    with pytest.raises(ProtocolError):
        await signer.sign_audit_head(uuid4(), position, hash_)


async def test_two_signers_share_the_key_and_the_record(hsm: Hsm) -> None:
    first = await hsm.start()
    client, org_id = hsm.client(), uuid4()
    await client.sign_audit_head(org_id, 3, digest("three"))
    keys = await client.audit_keys()
    hsm.kill(first)
    await hsm.start()
    await hsm.start()
    with pytest.raises(AuditHeadRefused):
        await client.sign_audit_head(org_id, 2, digest("two"))
    clients = [hsm.client() for _ in range(4)]
    rivals = [each.sign_audit_head(org_id, 4, digest(f"four {n}")) for n, each in enumerate(clients)]
    results = await asyncio.gather(*rivals, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert await client.audit_keys() == keys
    for each in (client, *clients):
        await each.close()
