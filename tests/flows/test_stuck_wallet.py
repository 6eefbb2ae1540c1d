"""A wallet that cannot pay, a transaction given up, a signature never used: none of them jams the wallet."""

from tests.support.world import World, address, until


async def test_underfunded_then_one_given_up_then_funded(world: World) -> None:
    wallet = await world.wallet(wei=0)
    agent = await world.agent()
    to = address()
    queued = []
    for _ in range(10):
        answer = await agent.submit(wallet, to, "0", gas_limit=21_000)
        assert answer.status_code == 201, answer.text
        queued.append(answer.json())
    assert {each["status"] for each in queued} == {"signed"}
    assert all("error_message" in each for each in queued)

    given_up = await agent.give_up(queued[3]["id"])
    assert given_up.status_code == 200, given_up.text
    assert (await agent.give_up(queued[3]["id"])).status_code == 409
    assert await world.chain.nonce(wallet.address) == 0

    await world.chain.fund(wallet.address)
    await world.chain.wait_nonce(wallet.address, 10, timeout_s=90)

    mined = await world.chain.transactions_from(wallet.address)
    by_nonce = {int(each["nonce"], 16): each for each in mined}
    assert sorted(by_nonce) == list(range(10))
    for nonce, each in enumerate(queued):
        if nonce == 3:
            assert by_nonce[3]["to"].lower() == wallet.address.lower()
            assert int(by_nonce[3]["value"], 16) == 0
            assert by_nonce[3]["hash"] != each["tx_hash"]
        else:
            assert by_nonce[nonce]["hash"] == each["tx_hash"]
            assert (await agent.mined(each["id"]))["receipt"]["status"] == "success"

    async def failed() -> bool:
        return (await agent.get(queued[3]["id"]))["status"] == "failed"

    await until(failed, 60, "the given-up transaction to be failed")
    after = await agent.submit(wallet, to, "0.1")
    assert after.status_code == 201, after.text
    await agent.mined(after.json()["id"])


async def test_a_signature_that_is_never_broadcast_blocks_nobody(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    signed = await agent.sign(wallet, address(), "1")
    assert signed.status_code == 200, signed.text
    assert signed.json()["status"] == "sign_only"
    assert signed.json()["nonce"] == 0

    answer = await agent.submit(wallet, address(), "0.5")

    assert answer.status_code == 201, answer.text
    mined = await agent.mined(answer.json()["id"])
    assert mined["nonce"] == 0
    assert await world.chain.nonce(wallet.address) == 1


async def test_a_sign_only_transaction_sent_by_the_agent_is_found_on_chain(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to = address()
    signed = (await agent.sign(wallet, to, "1")).json()
    assert await world.chain.rpc("eth_sendRawTransaction", signed["signed_tx"]) == signed["tx_hash"]
    await world.chain.receipt(signed["tx_hash"])

    listed = await world.http.get(agent.url, headers=agent.headers, params={"include": "receipt"})
    own = listed.json()["transactions"][0]
    assert own["status"] == "sign_only"
    mined = await agent.mined(own["id"])
    assert mined["receipt"]["status"] == "success"
    following = await agent.submit(wallet, to, "1")
    assert (await agent.get(following.json()["id"]))["nonce"] == 1
