"""One of two endpoints takes nothing and shows receipts of its own making: no payment is final by its word alone."""

from typing import Any

import pytest

from tests.support.faulty_rpc import Answer, Refuse
from tests.support.odd_node import BLOCK, COUNT, LATEST, RECEIPT, SEND, OddNode
from tests.support.world import ETHER, World, address, until

NODES = 2


@pytest.mark.parametrize("where", ["in a block of the chain", "in one that nobody else has"])
async def test_a_payment_is_final_only_where_nobody_speaks_against_it(
    human: World, nodes: list[OddNode], where: str
) -> None:
    liar = nodes[0]
    agent, wallet, to = await human.agent(), await human.wallet(), address()
    liar.faults[SEND] = Refuse(-32000, "already known")
    sent = (await agent.submit(wallet, to, "1", gas_limit=21_000)).json()
    block: Any = await human.chain.rpc("eth_getBlockByNumber", "latest", False)
    if where == "in one that nobody else has":
        block = block | {"number": hex(10**9), "hash": "0x" + "5b" * 32, "transactions": [sent["tx_hash"]]}
        liar.faults["eth_blockNumber"] = Answer(hex(10**9 + 5))
        liar.faults[BLOCK] = Answer(block, when=lambda params: params[0] == block["hash"])
        liar.faults[LATEST] = Answer(block, when=lambda params: params[0] in (block["number"], "finalized"))
    made_up = {
        "transactionHash": sent["tx_hash"],
        "blockNumber": block["number"],
        "blockHash": block["hash"],
        "status": "0x1",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x3b9aca00",
    }
    liar.faults[COUNT] = Answer("0x1", when=lambda params: params[0].lower() == wallet.address.lower())
    liar.faults[RECEIPT] = Answer(made_up, when=lambda params: params[0] == sent["tx_hash"])

    async def shown() -> bool:
        return (await agent.get(sent["id"])).get("receipt", {}).get("block_hash") == block["hash"]

    await until(shown, 60, "the liar to be heard")

    async def paid() -> bool:
        is_final = (await agent.get(sent["id"]))["receipt"]["final"]
        has = await human.chain.balance(to)
        assert has or not is_final, "a payment is called final that nobody received"
        return has == ETHER

    # the other endpoint is given the bytes, whatever the first one says of them
    await until(paid, 120, "the payment")
    liar.be_sound()

    async def final() -> bool:
        receipt = (await agent.get(sent["id"]))["receipt"]
        true = await human.chain.receipt(sent["tx_hash"])
        return receipt["final"] and receipt["block_hash"] == true["blockHash"]

    await until(final, 120, "the block that is true")
    after = (await agent.submit(wallet, to, "1", gas_limit=21_000)).json()
    assert (await agent.mined(after["id"]))["nonce"] == 1
