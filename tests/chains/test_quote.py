import pytest
from eth_account import Account

from anvil.accounts import ACCOUNTS
from anvil.chain import BLOCK_GAS_LIMIT, CHAIN_ID
from anvil.rpc import call
from chains.addresses import parse_address
from chains.errors import RpcRefused, RpcUnavailable
from chains.quote import quote
from chains.rpc import ChainClient
from chains.units import GWEI
from tests.chains.test_quantities import NO_QUANTITIES
from tests.support.faulty_rpc import Answer, Fault, FaultyRpc, Refuse
from tests.support.odd_node import when_block, with_fields, without

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


NO_HISTORY = [
    Refuse(-32601, "method not found"),
    Refuse(-32000, "eth_feeHistory is not supported"),
    Refuse(-32603, "Internal error"),
    Refuse(-32001, "nobody knows"),
    Answer(None),
    Answer({"oldestBlock": "0x1", "baseFeePerGas": None}),
    Answer({"oldestBlock": "0x1", "baseFeePerGas": ["0x0", "0x0"]}),
    Answer({"oldestBlock": "0x1", "baseFeePerGas": "0x5"}),
    Answer("0x5"),
]
LATEST = "eth_getBlockByNumber"


@pytest.mark.parametrize("fault", NO_HISTORY)
async def test_without_a_fee_history_the_blocks_own_base_fee_counts(
    faulty: FaultyRpc, faulty_client: ChainClient, fault: Refuse | Answer
) -> None:
    faulty.faults["eth_feeHistory"] = fault
    faulty.faults[LATEST] = with_fields(baseFeePerGas="0x7")
    assert (await quote(faulty_client, ADDRESS)).fee_quote.base_fee == 7
    faulty.faults[LATEST] = with_fields(baseFeePerGas="0x0")
    assert (await quote(faulty_client, ADDRESS)).fee_quote.base_fee == 0, "zero is a base fee"
    faulty.faults[LATEST] = without("baseFeePerGas")
    assert (await quote(faulty_client, ADDRESS)).fee_quote.base_fee is None


@pytest.mark.parametrize("fault", NO_HISTORY[:6])
async def test_without_history_and_block_there_is_the_gas_price(
    faulty: FaultyRpc, faulty_client: ChainClient, fault: Refuse | Answer
) -> None:
    faulty.faults |= {"eth_feeHistory": fault, LATEST: Refuse(-32000, "pruned")}
    told = await quote(faulty_client, ADDRESS)
    assert told.fee_quote.base_fee is None
    assert told.fee_quote.gas_price > 0
    assert told.block_gas_limit is None


TIP, PRICE = "eth_maxPriorityFeePerGas", "eth_gasPrice"


@pytest.mark.parametrize(
    ("faults", "tip", "price"),
    [
        ({TIP: Answer(hex(25 * GWEI)), PRICE: Answer(hex(30 * GWEI))}, 25 * GWEI, 30 * GWEI),
        ({TIP: Answer(hex(GWEI // 1000)), PRICE: Answer(hex(GWEI))}, GWEI // 1000, GWEI),
        ({TIP: Refuse(-32601, "method not found"), PRICE: Answer(hex(7 + 25 * GWEI))}, 25 * GWEI, 7 + 25 * GWEI),
        ({TIP: Refuse(-32000, "no"), PRICE: Answer("0x9")}, 2, 9),
        ({TIP: Refuse(-32000, "no"), PRICE: Answer("0x3")}, 0, 3),
        ({TIP: Answer("0x5"), PRICE: Refuse(-32601, "method not found")}, 5, 12),
    ],
)
async def test_the_tip_is_what_the_node_recommends(
    faulty: FaultyRpc, faulty_client: ChainClient, faults: dict[str, Fault], tip: int, price: int
) -> None:
    faulty.faults |= {"eth_feeHistory": Answer({"baseFeePerGas": ["0x7"]})} | faults
    told = (await quote(faulty_client, ADDRESS)).fee_quote
    assert (told.base_fee, told.priority_fee, told.gas_price) == (7, tip, price)


async def test_a_node_without_a_pending_count_counts_blocks(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    for refusal in (Refuse(-32000, "pending is not supported"), Refuse(-32602, "invalid block tag")):
        faulty.faults["eth_getTransactionCount"] = when_block("pending", refusal)
        told = await quote(faulty_client, ADDRESS)
        assert told.pending_nonce == told.mined_nonce
        assert not told.knows_pending


@pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_getBalance"])
async def test_a_refusal_of_what_is_needed_is_raised(
    faulty: FaultyRpc, faulty_client: ChainClient, method: str
) -> None:
    faulty.faults[method] = Refuse(-32000, "pruned")
    with pytest.raises(RpcRefused, match="pruned"):
        await quote(faulty_client, ADDRESS)


async def test_a_node_that_names_no_price_at_all_is_refused(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    faulty.faults |= {TIP: Refuse(-32601, "no tip"), PRICE: Refuse(-32601, "no price")}
    with pytest.raises(RpcRefused, match="no price"):
        await quote(faulty_client, ADDRESS)


async def test_the_blocks_gas_limit(faulty: FaultyRpc, faulty_client: ChainClient) -> None:
    assert (await quote(faulty_client, ADDRESS)).block_gas_limit == BLOCK_GAS_LIMIT
    for odd in (None, "many", "0x0"):
        faulty.faults[LATEST] = with_fields(gasLimit=odd)
        assert (await quote(faulty_client, ADDRESS)).block_gas_limit is None


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
    assert (await quote(faulty_client, ADDRESS)).fee_quote.base_fee, "the block says it too"
    for latest in (Answer("0x1"), with_fields(baseFeePerGas="many"), Refuse(-32000, "pruned")):
        faulty.faults[LATEST] = latest
        with pytest.raises((RpcUnavailable, RpcRefused)):
            await quote(faulty_client, ADDRESS)
