import asyncio
import secrets
from uuid import UUID, uuid4

import pytest

from signer.client import SignerClient
from signer.errors import KeyNotFound, SealBroken
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
