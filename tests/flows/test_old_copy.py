"""A copy that was found to be old: every submission is 503 with the reason, nothing is sent, following goes on."""

import psycopg

from tests.support.instance import Running
from tests.support.odd_node import OddNode
from tests.support.published import assert_declared
from tests.support.world import World, address, until

WHY = "this database is older than what was signed (epoch 3 here, 7 outside)."


async def test_nothing_is_signed_or_sent_and_what_was_mined_is_followed(
    human: World, running: Running, node: OddNode
) -> None:
    wallet, agent = await human.wallet(), await human.agent()
    done = (await agent.submit(wallet, address(), "1", idempotency_key="done")).json()
    await human.chain.wait_nonce(wallet.address, 1)
    # gas that no node takes for now: it waits, and would be sent again
    stuck = (await agent.submit(wallet, address(), "1", max_fee_per_gas="1", max_priority_fee_per_gas="1")).json()
    async with await psycopg.AsyncConnection.connect(running.owner_dsn, autocommit=True) as database:
        await database.execute("INSERT INTO restores (found_by, why) VALUES ('epoch', %s)", (WHY,))
        try:
            signed = await count(database, "SELECT count(*) FROM signer.redemptions")
            for answer in (
                await agent.submit(wallet, address(), "1"),
                await agent.submit(wallet, address(), "1", idempotency_key="new"),
                # also what was carried out before: of this copy's own past nothing is known for sure
                await agent.submit(wallet, address(), "1", idempotency_key="done"),
                await agent.sign(wallet, address(), "1"),
                await agent.simulate(wallet, address(), "1"),
                await agent.give_up(stuck["id"]),
            ):
                body = assert_declared(answer)
                assert (answer.status_code, body["type"]) == (503, "restored_copy"), answer.text
                assert WHY in body["detail"]
                assert answer.headers["retry-after"] == "60"
            sent = node.count("eth_sendRawTransaction")
            assert (await agent.mined(done["id"]))["receipt"]["status"] == "success"

            # the base fee falls to what it offers; for as long as the copy is frozen nobody sends it
            looked = node.count("eth_getTransactionCount")

            async def looked_again() -> bool:
                return node.count("eth_getTransactionCount") > looked + 10

            await until(looked_again, what="ten more passes of the worker")
            assert node.count("eth_sendRawTransaction") == sent
            assert await count(database, "SELECT count(*) FROM signer.redemptions") == signed
            assert await human.chain.nonce(wallet.address, "pending") == 1
        finally:
            await database.execute("UPDATE restores SET opened_at = clock_timestamp()")

    async def sent_again() -> bool:
        return node.count("eth_sendRawTransaction") > sent

    await until(sent_again, what="the bytes that waited, sent again")
    assert (await agent.give_up(stuck["id"])).status_code == 200
    assert (await agent.submit(wallet, address(), "1")).status_code == 201
    await human.chain.wait_nonce(wallet.address, 3)


async def count(database: psycopg.AsyncConnection, query: str) -> int:
    row = await (await database.execute(query)).fetchone()
    assert row is not None
    return row[0]
