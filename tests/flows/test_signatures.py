"""Every signature is an agent's transaction or is shown to the owner, and so is each that made way for another."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from chains.transactions import Transaction, signing_digest
from guardrails.approval import MAX_LIFETIME, Approval
from intents.signatures import MAX_LISTED
from signer.client import SignerClient
from signer.errors import DigestStands
from tests.support.approvals import some_transaction
from tests.support.instance import Running
from tests.support.people import sign_up
from tests.support.world import Wallet, World, address, until

ETHER = 10**18


@pytest.fixture
async def subverted(instance: Running) -> AsyncIterator[SignerClient]:
    """What an API process can ask of the signer, whoever it works for."""
    client = SignerClient(str(instance.signer_socket))
    yield client
    await client.close()


async def settle(database: psycopg.AsyncConnection, wallet: Wallet) -> None:
    """Half a minute passes for everything that was signed for a wallet."""
    await database.execute(
        "UPDATE signer.redemptions SET redeemed_at = redeemed_at - interval '1 minute' WHERE address = %s",
        (bytes.fromhex(wallet.address[2:]),),
    )


async def shown(world: World, wallet: Wallet, what: str) -> list[dict[str, Any]]:
    """Everything of a wallet that `/v1/audit/verify` lists, over all its parts."""
    found: list[dict[str, Any]] = []
    sequence: int | None = 1
    while sequence is not None:
        answer = await world.http.get(
            "/v1/audit/verify", params={"from_signature": sequence, "limit": 1}, headers=world.headers
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["findings"] == []
        found += answer.json().get(what, [])
        sequence = answer.json().get("next_signature")
    return [each for each in found if each["address"] == wallet.address.lower()]


async def key_of(database: psycopg.AsyncConnection, wallet: Wallet) -> UUID:
    row = await (
        await database.execute(
            "SELECT key_id FROM secret_versions WHERE address = %s", (bytes.fromhex(wallet.address[2:]),)
        )
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


async def steal(client: SignerClient, key_id: UUID, agent_id: str, transaction: Transaction) -> str:
    """Have something signed behind everybody's back; returns the digest."""
    digest = signing_digest(transaction)
    approval = Approval(uuid4(), "submit", UUID(agent_id), key_id, digest, datetime.now(UTC) + MAX_LIFETIME / 2)
    await client.sign_transaction(approval, transaction)
    return f"0x{digest.hex()}"


async def test_what_was_signed_behind_everybodys_back_is_shown(
    world: World, database: psycopg.AsyncConnection, subverted: SignerClient, instance: Running
) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    key_id = await key_of(database, wallet)
    theft = some_transaction(nonce=0, value=2 * ETHER)
    stolen = await steal(subverted, key_id, str(uuid4()), theft)
    # not before the transaction that it might be for has had its time
    assert await shown(world, wallet, "unaccounted_signatures") == []
    await settle(database, wallet)
    (theft_shown,) = await shown(world, wallet, "unaccounted_signatures")
    assert theft_shown["digest"] == stolen
    assert (theft_shown["nonce"], theft_shown["value_wei"]) == (0, str(2 * ETHER))
    assert "agent_id" not in theft_shown, "the agent it was said to be for is nobody's"

    # a second transfer at that nonce leaves nobody in the dark
    other = some_transaction(nonce=0, value=3 * ETHER)
    with pytest.raises(DigestStands):
        await steal(subverted, key_id, agent.id, other)
    to = address()
    answer = await agent.submit(wallet, to, "1")
    assert answer.status_code == 201, answer.text
    await settle(database, wallet)
    (displaced,) = await shown(world, wallet, "displaced_digests")
    assert (displaced["displaced_digest"], displaced["reason"]) == (stolen, "rolled_back")
    assert displaced["agent_id"] == agent.id
    assert await shown(world, wallet, "unaccounted_signatures") == []
    mined = await agent.mined(answer.json()["id"])
    assert mined["nonce"] == 0

    stranger = await sign_up(world, database)
    theirs = await World.enter(instance.base_url, instance.rpc_url, stranger.email, stranger.password)
    try:
        assert await shown(theirs, wallet, "displaced_digests") == []
    finally:
        await theirs.close()


async def test_signed_only_then_submitted_then_given_up(world: World, database: psycopg.AsyncConnection) -> None:
    wallet = await world.wallet(wei=0)
    agent = await world.agent()
    first = await agent.sign(wallet, address(), "0", gas_limit=21_000)
    second = await agent.sign(wallet, address(), "0", gas_limit=22_000)
    submitted = await agent.submit(wallet, address(), "0", gas_limit=21_000)
    assert [first.status_code, second.status_code, submitted.status_code] == [200, 200, 201], submitted.text
    assert {first.json()["nonce"], second.json()["nonce"]} == {0}
    given_up = await agent.give_up(submitted.json()["id"])
    assert given_up.status_code == 200, given_up.text
    await settle(database, wallet)
    listed = await shown(world, wallet, "displaced_digests")
    assert [(each["kind"], each["reason"]) for each in listed] == [
        ("sign_only", "sign_only"),
        ("submit", "sign_only"),
        ("filler", "filler"),
    ]
    # a chain of digests: each took the place of the one before
    assert [each["displaced_digest"] for each in listed[1:]] == [each["digest"] for each in listed[:-1]]
    assert await shown(world, wallet, "unaccounted_signatures") == []
    await world.chain.fund(wallet.address)
    await world.chain.wait_nonce(wallet.address, 1)
    (mined,) = await world.chain.transactions_from(wallet.address)
    assert mined["to"].lower() == wallet.address.lower()


async def test_one_key_in_two_organisations_has_one_place_for_each_nonce(
    world: World, database: psycopg.AsyncConnection, instance: Running
) -> None:
    private = secrets.token_bytes(32)
    here = await world.put_key(private)
    await world.chain.fund(here.address)
    stranger = await sign_up(world, database)
    other = await World.enter(instance.base_url, instance.rpc_url, stranger.email, stranger.password)
    try:
        there = await other.put_key(private)
        mine, theirs = await world.agent(), await other.agent()
        assert (await mine.sign(here, address(), "1")).status_code == 200
        answer = await theirs.submit(there, address(), "1")
        assert answer.status_code == 201, answer.text
        await theirs.mined(answer.json()["id"])
        await settle(database, here)
        (own,) = await shown(other, there, "displaced_digests")
        assert (own["reason"], own["agent_id"]) == ("sign_only", theirs.id)
        # both hear of it, but not of each other's agents
        (seen,) = await shown(world, here, "displaced_digests")
        assert seen == {name: value for name, value in own.items() if name != "agent_id"}
    finally:
        await other.close()


async def test_long_lists_come_in_parts(world: World, database: psycopg.AsyncConnection) -> None:
    wallet = await world.put_key()
    count = MAX_LISTED + 20
    await database.execute(
        "INSERT INTO signer.redemptions (approval_id, agent_id, key_id, kind, digest, address, chain_id, nonce,"
        " value_wei, redeemed_at) SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'submit',"
        " sha256(n::text::bytea), %s, 1, n, n, now() - interval '1 hour' FROM generate_series(1, %s) n",
        (bytes.fromhex(wallet.address[2:]), count),
    )
    listed = await shown(world, wallet, "unaccounted_signatures")
    assert [each["nonce"] for each in listed] == list(range(1, count + 1))
    whole = (await world.http.get("/v1/audit/verify", headers=world.headers)).json()
    assert len(whole["unaccounted_signatures"]) <= MAX_LISTED
    assert whole["next_signature"] > 1
    later = await world.http.get("/v1/audit/verify", params={"from_position": 2}, headers=world.headers)
    assert "unaccounted_signatures" not in later.json()


async def test_a_nonce_that_was_rolled_back_goes_on(world: World, database: psycopg.AsyncConnection) -> None:
    """The database refuses what was signed: the next transaction has the nonce, and names the one before."""
    wallet = await world.wallet()
    agent = await world.agent()
    await database.execute(
        "CREATE FUNCTION no_attempt() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$"
    )
    await database.execute(
        "CREATE TRIGGER no_attempt BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION no_attempt()"
    )
    try:
        refused = await agent.submit(wallet, address(), "1")
    finally:
        await database.execute("DROP TRIGGER no_attempt ON attempts")
        await database.execute("DROP FUNCTION no_attempt()")
    assert refused.status_code == 503, refused.text
    answer = await agent.submit(wallet, address(), "2")
    assert answer.status_code == 201, answer.text
    await agent.mined(answer.json()["id"])

    async def standing() -> tuple[Any, ...] | None:
        return await (
            await database.execute(
                "SELECT value_wei, reason, displaced IS NOT NULL FROM signer.signed_nonces WHERE address = %s",
                (bytes.fromhex(wallet.address[2:]),),
            )
        ).fetchone()

    assert await until(standing) == (2 * ETHER, "rolled_back", True)


async def place(database: psycopg.AsyncConnection, wallet: Wallet) -> list[tuple[Any, ...]]:
    """What the signer's record says of every signature for a wallet, in order."""
    rows = await database.execute(
        "SELECT nonce, kind, reason FROM signer.redemptions WHERE address = %s ORDER BY sequence",
        (bytes.fromhex(wallet.address[2:]),),
    )
    return await rows.fetchall()


async def forget(database: psycopg.AsyncConnection, wallet: Wallet) -> None:
    """The tracker believes that nothing was signed yet, as a fault of ours might have it believe."""
    await database.execute(
        "UPDATE wallets SET next_nonce = 0 WHERE address = %s", (bytes.fromhex(wallet.address[2:]),)
    )


async def test_a_nonce_given_out_twice_is_signed_once(world: World, database: psycopg.AsyncConnection) -> None:
    wallet = await world.wallet(wei=0)
    agent = await world.agent()
    first = await agent.submit(wallet, address(), "0", gas_limit=21_000)
    assert first.status_code == 201, first.text
    await forget(database, wallet)
    for answer in (
        await agent.submit(wallet, address(), "0", gas_limit=21_000),
        await agent.sign(wallet, address(), "0", gas_limit=21_000),
    ):
        assert answer.status_code == 409, answer.text
        assert "nonce 0" in answer.json()["detail"]
    assert await place(database, wallet) == [(0, "submit", None)]


async def test_a_chain_that_was_reset_gives_its_nonces_back(world: World, database: psycopg.AsyncConnection) -> None:
    wallet = await world.wallet(wei=0)
    agent = await world.agent()
    first = await agent.submit(wallet, address(), "0", gas_limit=21_000)
    assert first.status_code == 201, first.text
    await database.execute(
        "UPDATE transactions SET chain_reset_at = now() WHERE id = %s", (UUID(first.json()["id"]),)
    )
    await forget(database, wallet)
    await world.chain.fund(wallet.address)
    answer = await agent.submit(wallet, address(), "1")
    assert answer.status_code == 201, answer.text
    await agent.mined(answer.json()["id"])
    assert await place(database, wallet) == [(0, "submit", None), (0, "submit", "chain_reset")]
