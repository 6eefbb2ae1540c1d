"""Simulation from the node itself: balance changes of everybody touched, decoded reasons, bundles on one state."""

from eth_abi import encode
from eth_utils import function_signature_to_4byte_selector

from anvil.contracts import deploy
from tests.support.instance import Running
from tests.support.world import ETHER, World, address


def call(signature: str, types: list[str] | None = None, values: list | None = None) -> str:
    return f"0x{(function_signature_to_4byte_selector(signature) + encode(types or [], values or [])).hex()}"


async def test_native_changes_of_both_sides(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to = address()
    answer = await agent.simulate(wallet, to, "1.5")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "success"
    assert body["gas_used"] == 21_000
    changes = {each["address"]: each for each in body["balance_changes"]}
    # whole coins, as clients show them next to the symbol
    assert (changes[to]["before"], changes[to]["change"], changes[to]["token_symbol"]) == ("0", "1.5", "ETH")
    assert (changes[wallet.address]["change"], changes[wallet.address]["after"]) == ("-1.5", "998.5")
    assert await world.chain.nonce(wallet.address, "pending") == 0


async def test_token_changes_and_a_bundle_on_one_state(world: World, instance: Running) -> None:
    token = deploy(instance.rpc_url, "Token")
    wallet = await world.wallet()
    agent = await world.agent()
    friend = address()
    mint = {"data": call("mint(address,uint256)", ["address", "uint256"], [wallet.address, 10**18])}
    give = {"data": call("transfer(address,uint256)", ["address", "uint256"], [friend, 4 * 10**17])}

    alone = await agent.simulate(wallet, token, **give)
    assert alone.json()["status"] == "reverted", alone.text
    bundle = await agent.post(
        "/simulate-bundle?include=raw",
        {
            "transactions": [
                {"to": token, "value": "0", "chain": "anvil", "signing_key_path": wallet.path} | each
                for each in (mint, give, give, give)
            ]
        },
    )
    assert bundle.status_code == 200, bundle.text
    results = bundle.json()["simulations"]
    assert [each["status"] for each in results] == ["success", "success", "success", "reverted"]
    received = next(each for each in results[2]["balance_changes"] if each["address"] == friend)
    assert (received["before"], received["after"], received["change"]) == ("0.4", "0.8", "0.4")
    assert [received[f"{name}_raw"] for name in ("before", "after", "change")] == [
        str(tenths * 10**17) for tenths in (4, 8, 4)
    ]
    assert received["token"].lower() == token.lower()


async def test_a_revert_is_named_and_nothing_is_signed(world: World, instance: Running) -> None:
    reverter = deploy(instance.rpc_url, "Reverter")
    wallet = await world.wallet()
    agent = await world.agent()
    for function, words in (
        ("failWithReason()", "this always fails"),
        ("failWithCustom()", "0x"),
        ("failSilently()", "revert"),
    ):
        simulated = await agent.simulate(wallet, reverter, data=call(function))
        assert simulated.status_code == 200
        assert simulated.json()["status"] == "reverted"
        submitted = await agent.submit(wallet, reverter, data=call(function))
        assert submitted.status_code == 422, submitted.text
        assert submitted.json()["status"] == "simulation_failed"
        assert words in submitted.json()["detail"]
        assert "signed_tx" not in submitted.json()
    assert await world.chain.nonce(wallet.address, "pending") == 0
    listed = await world.http.get(agent.url, headers=agent.headers)
    assert [each["status"] for each in listed.json()["transactions"]] == ["simulation_failed"] * 3


async def test_our_own_unsent_transactions_come_before(world: World) -> None:
    """A signed transaction that no node has taken yet is part of the state the next one is judged on."""
    wallet = await world.wallet(wei=ETHER)
    agent = await world.agent()
    first = await agent.submit(wallet, address(), "0.9", gas_limit=21_000, max_fee_per_gas=str(10**12 * 3))
    assert first.status_code == 201, first.text
    second = await agent.simulate(wallet, address(), "0.9", gas_limit=21_000)
    assert second.json()["status"] != "success", second.text


async def test_omitted_gas_is_estimated_and_given_gas_is_kept(world: World, instance: Running) -> None:
    token = deploy(instance.rpc_url, "Token")
    wallet = await world.wallet()
    agent = await world.agent()
    data = call("mint(address,uint256)", ["address", "uint256"], [wallet.address, 100])
    estimated = await agent.submit(wallet, token, data=data)
    given = await agent.submit(wallet, token, data=data, gas_limit=123_456)
    assert (await agent.get(given.json()["id"]))["gas_limit"] == 123_456
    used = (await agent.mined(estimated.json()["id"]))["receipt"]["gas_used"]
    limit = (await agent.get(estimated.json()["id"]))["gas_limit"]
    assert used < limit < 3 * used
    assert limit != 21_000
