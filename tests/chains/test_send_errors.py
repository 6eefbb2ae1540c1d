import pytest

from chains.send_errors import SendOutcome, classify, is_for_good

KNOWN, LOW, NO, WHO_KNOWS = (
    SendOutcome.ALREADY_KNOWN,
    SendOutcome.NONCE_TOO_LOW,
    SendOutcome.REFUSED,
    SendOutcome.UNKNOWN,
)

WORDINGS = [
    # go-ethereum
    (-32000, "already known", KNOWN),
    (-32000, "nonce too low: next nonce 5, tx nonce 3", LOW),
    (-32000, "nonce too high", NO),
    (-32000, "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1", NO),
    (-32000, "transaction underpriced: gas tip cap 0, minimum needed 1", NO),
    (-32000, "replacement transaction underpriced", NO),
    (-32000, "max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7", NO),
    (-32000, "max priority fee per gas higher than max fee per gas", NO),
    (-32000, "intrinsic gas too low: gas 20000, minimum needed 21000", NO),
    (-32000, "insufficient gas for floor data gas cost: gas 21000, minimum needed 22000", NO),
    (-32000, "exceeds block gas limit", NO),
    (-32000, "invalid sender: invalid chain id for signer: have 1 want 31337", NO),
    (-32000, "only replay-protected (EIP-155) transactions allowed over RPC", NO),
    (-32000, "tx fee (2.10 ether) exceeds the configured cap (1.00 ether)", NO),
    (-32000, "oversized data: transaction size 140000, limit 131072", NO),
    (-32000, "txpool is full", NO),
    (-32000, "transaction type not supported", NO),
    (-32000, "rlp: expected input list for types.LegacyTx", NO),
    # erigon
    (-32000, "ALREADY_EXISTS: already known", KNOWN),
    (-32000, "INTERNAL_ERROR: nonce too low", LOW),
    (-32000, "INTERNAL_ERROR: insufficient funds", NO),
    (-32000, "INTERNAL_ERROR: could not replace existing tx, underpriced", NO),
    (-32000, "fee too low", NO),
    # nethermind
    (-32010, "AlreadyKnown", KNOWN),
    (-32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 3", LOW),
    (-32010, "InsufficientFunds, Account balance: 0, cumulative cost: 1", NO),
    (-32010, "FeeTooLow, MaxFeePerGas too low. MaxFeePerGas: 1, BaseFee: 7", NO),
    (-32010, "FeeTooLowToCompete", NO),
    (-32010, "GasLimitExceeded, Gas limit: 1, gas limit of rejected tx: 2", NO),
    (-32010, "NonceGap, Future nonce. Expected nonce: 5", NO),
    (-32010, "ReplacementNotAllowed", NO),
    (-32010, "Invalid", NO),
    # besu
    (-32000, "Known transaction", KNOWN),
    (-32001, "Nonce too low", LOW),
    (-32004, "Upfront cost exceeds account balance", NO),
    (-32003, "Intrinsic gas exceeds gas limit", NO),
    (-32009, "Gas price below configured minimum gas price", NO),
    (-32007, "Wrong chainId", NO),
    # anvil and reth
    (-32003, "transaction already imported", KNOWN),
    (-32000, "already known", KNOWN),
    (-32003, "nonce too low", LOW),
    (-32003, "Insufficient funds for gas * price + value", NO),
    (-32003, "replacement transaction underpriced", NO),
    (-32003, "max fee per gas less than block base fee", NO),
    (-32003, "invalid chain id for signer", NO),
    (-32000, "intrinsic gas too low", NO),
    (-32000, "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", NO),
    # a wrapped one: the code says "internal", the words say it all
    (-32603, "Internal error: nonce too low", LOW),
    (-32603, "failed to send: already known", KNOWN),
    # nobody knows
    (-32603, "Internal error", WHO_KNOWS),
    (-32000, "", WHO_KNOWS),
    (-32000, "something new", WHO_KNOWS),
    (-32005, "nonce too low", WHO_KNOWS),
    (429, "already known", WHO_KNOWS),
    (-32000, "Too Many Requests", WHO_KNOWS),
    (-32000, "request timed out: insufficient funds check skipped", WHO_KNOWS),
    (-32000, "upstream: context deadline exceeded", WHO_KNOWS),
    (-32000, "service unavailable, try again", WHO_KNOWS),
    (-32000, "header not found", WHO_KNOWS),
]


@pytest.mark.parametrize(("code", "message", "outcome"), WORDINGS)
def test_wording(code: int, message: str, outcome: SendOutcome) -> None:
    assert classify(code, message) is outcome
    assert classify(code, message.upper()) is outcome


def test_a_very_long_message_is_not_searched_to_its_end() -> None:
    assert classify(-32000, "x" * 10_000 + "already known") is SendOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("message", "for_good"),
    [
        ("intrinsic gas too low: gas 20000, minimum needed 21000", True),
        ("insufficient gas for floor data gas cost: gas 21000, minimum needed 22000", True),
        ("exceeds block gas limit", True),
        ("GasLimitExceeded, Gas limit: 1, gas limit of rejected tx: 2", True),
        ("transaction gas limit too high (cap: 16777216, tx: 17806321)", True),
        ("intrinsic gas too high -- tx.gas_limit > env.cfg.tx_gas_limit_cap", True),
        ("invalid sender: invalid chain id for signer: have 1 want 31337", True),
        ("oversized data: transaction size 140000, limit 131072", True),
        ("transaction type not supported", True),
        ("insufficient funds for gas * price + value", False),
        ("replacement transaction underpriced", False),
        ("max fee per gas less than block base fee", False),
        ("txpool is full", False),
        ("tx fee (2.10 ether) exceeds the configured cap (1.00 ether)", False),
        ("nonce too high", False),
    ],
)
def test_what_no_node_will_ever_take(message: str, for_good: bool) -> None:
    assert is_for_good(message) is for_good
    assert classify(-32000, message) is NO
