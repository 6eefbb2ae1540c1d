import pytest
from eth_account import Account

from anvil.accounts import ACCOUNTS
from anvil.chain import CHAIN_ID
from anvil.rpc import call
from chains.addresses import parse_address
from chains.errors import RpcRefused, RpcUnavailable
from chains.quote import DEFAULT_TIP_WEI, quote
from chains.rpc import ChainClient
from tests.chains.test_quantities import NO_QUANTITIES
from tests.support.faulty_rpc import Answer, FaultyRpc, Refuse

SENDER = ACCOUNTS[3]
ADDRESS = parse_address(SENDER.address)


@pytest.mark.usefixtures("manual_mining")
async def test_one_exchange_tells_everything(faulty: FaultyRpc, faulty_client: ChainClient, anvil_url: str) -> None:
    await faulty_client.verify_chain()
    mined = int(call(anvil_url, "eth_getTransactionCount", SENDER.address, "latest"), 16)
    tx = {"chainId": CHAIN_ID, "nonce": mined, "gasPrice": 10**11, "gas": 21000, "to": "0x" + "77" * 20, "value": 5}
    signed = Account.sign_transaction(tx, SENDER.private_key).raw_transaction
    call(anvil_url, "eth_sendRawTransaction", f"0x{signed.hex()}")
    before = faulty.exchanges
    told = await quote(faulty_client, ADDRESS)
    assert faulty.exchanges == before + 1
    assert (told.mined_nonce, told.pending_nonce) == (mined, mined + 1)
    assert told.balance == int(call(anvil_url, "eth_getBalance", SENDER.address, "latest"), 16)
    assert told.fee_quote.base_fee is not None
    assert told.fee_quote.base_fee > 0
    assert told.fee_quote.priority_fee >= 0


async def test_the_base_fee_is_the_next_blocks(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults["eth_feeHistory"] = Answer({"oldestBlock": "0x1", "baseFeePerGas": ["0x7", "0x8"]})
    assert (await quote(faulty_client, ADDRESS)).fee_quote.base_fee == 8


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(-32601, "method not found"),
        Answer(None),
        Answer({"oldestBlock": "0x1", "baseFeePerGas": None}),
        Answer({"oldestBlock": "0x1", "baseFeePerGas": ["0x0", "0x0"]}),
    ],
)
async def test_a_chain_without_a_base_fee(
    faulty: FaultyRpc, faulty_client: ChainClient, fault: Refuse | Answer
) -> None:
    faulty.faults["eth_feeHistory"] = fault
    assert (await quote(faulty_client, ADDRESS)).fee_quote.base_fee is None


async def test_a_node_that_suggests_no_tip(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults["eth_maxPriorityFeePerGas"] = Refuse(-32601, "method not found")
    assert (await quote(faulty_client, ADDRESS)).fee_quote.priority_fee == DEFAULT_TIP_WEI


@pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_getBalance", "eth_gasPrice", "eth_feeHistory"])
async def test_a_refusal_of_what_is_needed_is_raised(
    faulty: FaultyRpc, faulty_client: ChainClient, method: str
) -> None:
    faulty.faults[method] = Refuse(-32000, "pruned")
    with pytest.raises(RpcRefused, match="pruned"):
        await quote(faulty_client, ADDRESS)


@pytest.mark.parametrize(
    "method", ["eth_getTransactionCount", "eth_getBalance", "eth_gasPrice", "eth_maxPriorityFeePerGas"]
)
@pytest.mark.parametrize("answer", NO_QUANTITIES)
async def test_no_number_is_no_answer(
    faulty: FaultyRpc, faulty_client: ChainClient, method: str, answer: object
) -> None:
    faulty.faults[method] = Answer(answer)
    with pytest.raises(RpcUnavailable):
        await quote(faulty_client, ADDRESS)


@pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_gasPrice", "eth_maxPriorityFeePerGas"])
async def test_numbers_that_nobody_means_are_no_answer(
    faulty: FaultyRpc, faulty_client: ChainClient, method: str
) -> None:
    faulty.faults[method] = Answer(hex(2**200))
    with pytest.raises(RpcUnavailable):
        await quote(faulty_client, ADDRESS)


@pytest.mark.parametrize(
    "history",
    ["", "0x5", 5, True, [], ["0x1"]]
    + [{"baseFeePerGas": fees} for fees in ("0x5", 5, {}, {"-1": "0x5"}, False)]
    + [{"baseFeePerGas": ["0x5", last]} for last in NO_QUANTITIES],
)
async def test_an_unreadable_base_fee_is_not_taken_for_none(
    faulty: FaultyRpc, faulty_client: ChainClient, history: object
) -> None:
    faulty.faults["eth_feeHistory"] = Answer(history)
    with pytest.raises(RpcUnavailable):
        await quote(faulty_client, ADDRESS)
