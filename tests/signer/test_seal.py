import asyncio
import secrets
from uuid import UUID, uuid4

import pytest

from signer.client import SignerClient
from signer.errors import KeyNotFound, ProtocolError, SealBroken
from tests.support.hsm import Hsm

CONTEXT = b"vault|path|3"


@pytest.fixture
async def vault_id(signer: SignerClient) -> UUID:
    vault_id = uuid4()
    await signer.create_vault_key(vault_id)
    return vault_id


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, 5 * 1024 * 1024])
async def test_opens_what_was_sealed(signer: SignerClient, vault_id: UUID, size: int) -> None:
    plaintext = secrets.token_bytes(size)
    sealed = await signer.seal(vault_id, CONTEXT, plaintext)
    assert await signer.open(vault_id, CONTEXT, sealed) == plaintext
    assert size < 16 or plaintext[:16] not in sealed


async def test_the_same_secret_never_seals_to_the_same_bytes(signer: SignerClient, vault_id: UUID) -> None:
    sealed = await asyncio.gather(*(signer.seal(vault_id, CONTEXT, b"secret") for _ in range(20)))
    assert len(set(sealed)) == 20
    # neither the data key nor the nonce is ever used twice
    assert len({each[7:47] for each in sealed}) == 20


@pytest.mark.parametrize("context", [b"", b"vault|path|4", b"vault|path|3 ", b"Vault|path|3"])
async def test_another_context_does_not_open_it(signer: SignerClient, vault_id: UUID, context: bytes) -> None:
    sealed = await signer.seal(vault_id, CONTEXT, b"secret")
    with pytest.raises(SealBroken):
        await signer.open(vault_id, context, sealed)
    assert await signer.open(vault_id, CONTEXT, sealed) == b"secret"


async def test_another_vault_does_not_open_it(signer: SignerClient, vault_id: UUID) -> None:
    sealed = await signer.seal(vault_id, CONTEXT, b"secret")
    other = uuid4()
    with pytest.raises(SealBroken):
        await signer.open(other, CONTEXT, sealed)
    await signer.create_vault_key(other)
    with pytest.raises(SealBroken):
        await signer.open(other, CONTEXT, sealed)


async def test_no_bit_of_it_can_be_changed(signer: SignerClient, vault_id: UUID) -> None:
    sealed = await signer.seal(vault_id, CONTEXT, b"secret")
    changed = [
        sealed[:at] + bytes([sealed[at] ^ (1 << bit)]) + sealed[at + 1 :]
        for at in range(len(sealed))
        for bit in (0, 7)
    ]
    outcomes = await asyncio.gather(
        *(signer.open(vault_id, CONTEXT, each) for each in changed), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {SealBroken}
    assert await signer.open(vault_id, CONTEXT, sealed) == b"secret"


async def test_nothing_of_it_can_be_left_out_or_added(signer: SignerClient, vault_id: UUID) -> None:
    sealed = await signer.seal(vault_id, CONTEXT, b"secret")
    shapes = [sealed[:length] for length in range(len(sealed))] + [sealed + b"\x00", b"\x00" + sealed]
    shapes += [secrets.token_bytes(length) for length in (0, 1, 7, 64, 200)]
    outcomes = await asyncio.gather(
        *(signer.open(vault_id, CONTEXT, each) for each in shapes), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {SealBroken}


async def test_a_vault_without_a_key_seals_nothing(signer: SignerClient) -> None:
    with pytest.raises(KeyNotFound):
        await signer.seal(uuid4(), CONTEXT, b"secret")


async def test_creating_a_vault_key_again_changes_nothing(signer: SignerClient) -> None:
    vault_id = uuid4()
    await asyncio.gather(*(signer.create_vault_key(vault_id) for _ in range(8)))
    sealed = await signer.seal(vault_id, CONTEXT, b"secret")
    await signer.create_vault_key(vault_id)
    assert await signer.open(vault_id, CONTEXT, sealed) == b"secret"


async def test_two_signers_open_each_others_secrets(hsm: Hsm) -> None:
    first = await hsm.start()
    client = hsm.client()
    vault_id = uuid4()
    await client.create_vault_key(vault_id)
    sealed = await client.seal(vault_id, CONTEXT, b"secret")
    await hsm.start()
    hsm.kill(first)
    # the next request finds the other process by itself
    assert await client.open(vault_id, CONTEXT, sealed) == b"secret"
    await client.close()


def version_of(sealed: bytes) -> int:
    return int.from_bytes(sealed[1:5], "big")


async def test_a_rotated_vault_key_seals_and_the_older_ones_still_open(signer: SignerClient, vault_id: UUID) -> None:
    first = await signer.seal(vault_id, CONTEXT, b"secret")
    assert await signer.rotate_vault_key(vault_id, 2) == 2
    # asked again, as after an answer that was lost
    assert await signer.rotate_vault_key(vault_id, 2) == 2
    second = await signer.seal(vault_id, CONTEXT, b"secret")
    assert (version_of(first), version_of(second)) == (1, 2)
    assert await signer.open(vault_id, CONTEXT, first) == b"secret"
    assert await signer.open(vault_id, CONTEXT, second) == b"secret"
    # the number of a key is no way to another key
    with pytest.raises(SealBroken):
        await signer.open(vault_id, CONTEXT, first[:1] + (2).to_bytes(4, "big") + first[5:])


async def test_a_vault_key_only_ever_follows_the_one_before(signer: SignerClient, vault_id: UUID) -> None:
    for version in (1, 3, 2**31 - 1):
        with pytest.raises(KeyNotFound):
            await signer.rotate_vault_key(vault_id, version)
    for version in (0, -1, 2**31):
        with pytest.raises(ProtocolError):
            await signer.rotate_vault_key(vault_id, version)
    with pytest.raises(KeyNotFound):
        await signer.rotate_vault_key(uuid4(), 2)
    assert set(await asyncio.gather(*(signer.rotate_vault_key(vault_id, 2) for _ in range(8)))) == {2}


async def test_rewrapping_moves_a_value_to_the_newer_key(signer: SignerClient, vault_id: UUID) -> None:
    old = await signer.seal(vault_id, CONTEXT, b"secret")
    with pytest.raises(KeyNotFound):
        await signer.rewrap(vault_id, CONTEXT, old, 2)
    await signer.rotate_vault_key(vault_id, 2)
    new = await signer.rewrap(vault_id, CONTEXT, old, 2)
    assert version_of(new) == 2
    # nothing of the old one is in it: neither data key nor nonce nor ciphertext
    assert new[7:47] != old[7:47]
    assert await signer.open(vault_id, CONTEXT, new) == b"secret"
    assert await signer.rewrap(vault_id, CONTEXT, new, 2) == new
    for broken in (old[:-1], old[:20], b"", old[:-1] + bytes([old[-1] ^ 1])):
        with pytest.raises(SealBroken):
            await signer.rewrap(vault_id, CONTEXT, broken, 2)
    with pytest.raises(SealBroken):
        await signer.rewrap(vault_id, b"another place", old, 2)


async def test_another_signer_seals_under_the_new_key_at_once(hsm: Hsm) -> None:
    """Signers keep loaded keys; a rotation done by one of them counts in the other too."""
    await hsm.start()
    first = hsm.client()
    vault_id = uuid4()
    await first.create_vault_key(vault_id)
    old = await first.seal(vault_id, CONTEXT, b"secret")
    await hsm.start()
    clients = [first, *(hsm.client() for _ in range(6))]
    for client in clients:
        assert await client.open(vault_id, CONTEXT, old) == b"secret"
    await first.rotate_vault_key(vault_id, 2)
    for client in clients:
        assert version_of(await client.seal(vault_id, CONTEXT, b"secret")) == 2
        await client.close()


async def test_nobody_waits_for_rewrapping(signer: SignerClient, vault_id: UUID) -> None:
    """Bulk work stands behind what somebody waits for."""
    values = [await signer.seal(vault_id, CONTEXT, b"x" * 1000) for _ in range(100)]
    await signer.rotate_vault_key(vault_id, 2)
    moving = [asyncio.create_task(signer.rewrap(vault_id, CONTEXT, each, 2)) for each in values]
    await asyncio.sleep(0.01)
    await signer.seal(vault_id, CONTEXT, b"urgent")
    assert sum(task.done() for task in moving) < 90
    assert {version_of(each) for each in await asyncio.gather(*moving)} == {2}
