import asyncio
import secrets
from uuid import uuid4

import pytest
from eth_account import Account

from signer.client import SignerClient
from signer.errors import InvalidKey, KeyNotFound
from tests.support.approvals import approval_of, random_transaction, some_transaction
from tests.support.hsm import Hsm

# the first of the well-known development accounts
KNOWN_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
KNOWN_ADDRESS = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")


async def signs(signer: SignerClient, key_id, transaction) -> str:  # type: ignore[no-untyped-def]  # any key id, any type of transaction
    signed = await signer.sign_transaction(approval_of(key_id, transaction), transaction)
    return str(Account.recover_transaction(signed.raw))


async def test_a_generated_key_signs_for_its_address(signer: SignerClient) -> None:
    made = await signer.generate_key(uuid4())
    assert len(made.address) == 20
    assert len(made.public_key) == 65
    assert bytes.fromhex((await signs(signer, made.key_id, some_transaction()))[2:]) == made.address


async def test_no_two_generated_keys_are_alike(signer: SignerClient) -> None:
    made = await asyncio.gather(*(signer.generate_key(uuid4()) for _ in range(20)))
    assert len({key.address for key in made}) == 20


async def test_an_imported_key_has_the_address_everybody_knows(signer: SignerClient) -> None:
    made = await signer.import_key(uuid4(), KNOWN_KEY)
    assert made.address == KNOWN_ADDRESS
    assert bytes.fromhex((await signs(signer, made.key_id, some_transaction()))[2:]) == KNOWN_ADDRESS


async def test_200_random_transactions_recover_to_their_key(signer: SignerClient) -> None:
    keys = [await signer.generate_key(uuid4()), await signer.import_key(uuid4(), secrets.token_bytes(32))]
    transactions = [(keys[number % 2], random_transaction()) for number in range(200)]
    signed = await asyncio.gather(
        *(signer.sign_transaction(approval_of(key.key_id, tx), tx) for key, tx in transactions)
    )
    half_order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
    for (key, tx), result in zip(transactions, signed, strict=True):
        assert bytes.fromhex(Account.recover_transaction(result.raw)[2:]) == key.address == result.sender
        s = int.from_bytes(_last_field(result.raw), "big")
        assert 0 < s <= half_order, tx


def _last_field(raw: bytes) -> bytes:
    from rlp import decode

    fields = decode(raw if raw[0] >= 0xC0 else raw[1:])
    last: bytes = fields[-1]
    return last


@pytest.mark.parametrize("key", [b"", bytes(32), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33])
async def test_what_is_no_key_is_not_imported(signer: SignerClient, key: bytes) -> None:
    key_id = uuid4()
    with pytest.raises(InvalidKey):
        await signer.import_key(key_id, key)
    with pytest.raises(KeyNotFound):
        await signs(signer, key_id, some_transaction())


async def test_a_key_is_never_replaced_under_its_id(signer: SignerClient) -> None:
    made = await signer.generate_key(uuid4())
    with pytest.raises(InvalidKey, match="taken"):
        await signer.import_key(made.key_id, secrets.token_bytes(32))
    with pytest.raises(InvalidKey, match="taken"):
        await signer.generate_key(made.key_id)
    assert bytes.fromhex((await signs(signer, made.key_id, some_transaction()))[2:]) == made.address


async def test_an_unknown_key_is_not_found_and_costs_no_approval(signer: SignerClient) -> None:
    transaction, key_id = some_transaction(), uuid4()
    approval = approval_of(key_id, transaction)
    with pytest.raises(KeyNotFound):
        await signer.sign_transaction(approval, transaction)
    await signer.generate_key(key_id)
    assert (await signer.sign_transaction(approval, transaction)).raw


async def test_only_so_many_keys_stay_loaded_and_the_others_load_again(hsm: Hsm) -> None:
    process = await hsm.start(key_cache=64)
    client = hsm.client()
    keys = [await client.generate_key(uuid4()) for _ in range(100)]
    assert (await client.health()).keys_loaded == 64
    results = await asyncio.gather(*(signs(client, key.key_id, some_transaction()) for key in keys))
    assert [bytes.fromhex(address[2:]) for address in results] == [key.address for key in keys]
    assert (await client.health()).keys_loaded == 64
    assert process.poll() is None
    await client.close()


async def test_keys_of_a_dead_signer_work_in_the_next_one(hsm: Hsm) -> None:
    first = await hsm.start()
    client = hsm.client()
    made = [await client.generate_key(uuid4()), await client.import_key(uuid4(), KNOWN_KEY)]
    hsm.kill(first)
    await hsm.start()
    for key in made:
        assert bytes.fromhex((await signs(client, key.key_id, some_transaction()))[2:]) == key.address
    await client.close()
