"""What was signed is what was asked: decoded by an independent library, field for field."""

import random
from typing import Any

import rlp
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from web3 import AsyncHTTPProvider, AsyncWeb3

from tests.support.world import World, address


def decode(raw: str) -> dict[str, int | bytes]:
    """The signed fields, read by eth-account (typed) or rlp (legacy), not by our own code."""
    data = HexBytes(raw)
    if data[0] == 2:
        fields = TypedTransaction.from_bytes(data).as_dict()
        return {
            "type": 2,
            "chain_id": fields["chainId"],
            "nonce": fields["nonce"],
            "gas_limit": fields["gas"],
            "max_fee_per_gas": fields["maxFeePerGas"],
            "max_priority_fee_per_gas": fields["maxPriorityFeePerGas"],
            "to": bytes(fields["to"]),
            "value": fields["value"],
            "data": bytes(fields["data"]),
        }
    nonce, gas_price, gas_limit, to, value, payload, v, _, _ = rlp.decode(bytes(data))
    number = int.from_bytes
    return {
        "type": 0,
        "chain_id": (number(v, "big") - 35) // 2,
        "nonce": number(nonce, "big"),
        "gas_price": number(gas_price, "big"),
        "gas_limit": number(gas_limit, "big"),
        "to": to,
        "value": number(value, "big"),
        "data": payload,
    }


async def test_every_signed_field_equals_the_request(world: World) -> None:
    wallet = await world.wallet(wei=10**24)
    agent = await world.agent()
    rng = random.Random(7)
    for n in range(12):
        legacy = n % 2 == 0
        wei = rng.randrange(10**18)
        data = rng.randbytes(rng.choice([0, 4, 36, 500]))
        fees = (
            {"gas_price": str(rng.randrange(5 * 10**9, 10**11))}
            if legacy
            else {"max_fee_per_gas": str(rng.randrange(5 * 10**9, 10**11)), "max_priority_fee_per_gas": "1000000007"}
        )
        request: dict[str, Any] = {
            "to": address(),
            "value": f"0.{wei:018d}",
            "data": f"0x{data.hex()}",
            "gas_limit": 200_000 + n,
        } | fees
        answer = await (agent.sign if n % 3 == 0 else agent.submit)(wallet, **request)
        assert answer.status_code in (200, 201), answer.text

        signed = decode(answer.json()["signed_tx"])

        assert Account.recover_transaction(answer.json()["signed_tx"]) == wallet.address
        assert signed["type"] == (0 if legacy else 2)
        assert signed["chain_id"] == 31337
        assert signed["to"] == bytes.fromhex(request["to"][2:])
        assert signed["value"] == wei
        assert signed["data"] == data
        assert signed["gas_limit"] == request["gas_limit"]
        for name, value in fees.items():
            assert signed[name] == int(value)


async def test_omitted_fees_give_a_1559_transaction_and_a_gas_price_a_legacy_one(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    modern = await agent.submit(wallet, address(), "0.1")
    legacy = await agent.submit(wallet, address(), "0.1", gas_price=str(20 * 10**9))
    assert decode(modern.json()["signed_tx"])["type"] == 2
    assert decode(legacy.json()["signed_tx"])["type"] == 0
    for answer in (modern, legacy):
        mined = await agent.mined(answer.json()["id"])
        assert mined["receipt"]["status"] == "success"
        on_chain = await world.chain.receipt(answer.json()["tx_hash"])
        assert mined["receipt"]["block_number"] == int(on_chain["blockNumber"], 16)
        assert mined["receipt"]["gas_used"] == int(on_chain["gasUsed"], 16)
        assert mined["receipt"]["effective_gas_price"] == str(int(on_chain["effectiveGasPrice"], 16))


async def test_a_common_client_of_the_chain_finds_there_what_was_asked(world: World) -> None:
    wallet = await world.wallet()
    agent = await world.agent()
    to = address()
    answer = await agent.submit(wallet, to, "0.25", data="0x1234", gas_limit=60_000)
    await agent.mined(answer.json()["id"])

    web3 = AsyncWeb3(AsyncHTTPProvider(str(world.chain.http.base_url)))
    try:
        found = await web3.eth.get_transaction(answer.json()["tx_hash"])
        receipt = await web3.eth.get_transaction_receipt(answer.json()["tx_hash"])
        received = await web3.eth.get_balance(to)
    finally:
        await web3.provider.disconnect()
    assert (found["from"], found["to"], found["nonce"]) == (wallet.address, to, 0)
    assert (found["value"], found["input"], found["gas"]) == (25 * 10**16, HexBytes("0x1234"), 60_000)
    assert receipt["status"] == 1
    assert received == 25 * 10**16
