"""What a node says of finality, and what it does not say: unknown is not final."""

from typing import Any

import pytest

from chains.errors import RpcRefused
from chains.finality import Finality

CONFIRMATIONS = 10
AT_100 = hex(100)


def final(finalized: Any, latest: Any = AT_100, named: int = 0) -> int:
    return Finality(named).final_block(latest, finalized, CONFIRMATIONS)


LACKING = [
    RpcRefused(-32601, "the method eth_getBlockByNumber does not exist"),
    RpcRefused(-32602, "invalid argument 0: hex string without 0x prefix"),
    RpcRefused(-32000, "invalid block tag"),
    RpcRefused(-32000, "finalized block not found"),
    RpcRefused(-39001, "Unknown block"),
    RpcRefused(-32000, "'finalized' tag not supported on pre-merge network"),
    {"number": "0x0"},
]


@pytest.mark.parametrize("answer", LACKING, ids=str)
def test_a_node_that_knows_no_finality_has_confirmations(answer: Any) -> None:
    assert final(answer) == 90
    assert final(answer, latest="0x5") == 0
    # it knew before: nothing is final in this pass
    assert final(answer, named=80) == -1
    # behind what it named itself it lags, or its chain began anew
    assert final(answer, latest=hex(50), named=80) == 40


@pytest.mark.parametrize(
    "answer",
    [
        None,
        RpcRefused(-32005, "limit exceeded"),
        RpcRefused(429, "Too many requests"),
        RpcRefused(-32007, "50/second request limit reached for method eth_getBlockByNumber"),
        RpcRefused(-32000, "Unauthorized"),
        RpcRefused(-32603, "Internal error"),
        RpcRefused(0, "the node left this call unanswered"),
        RpcRefused(-32000, "header not found"),
        RpcRefused(-39999, "nobody knows"),
        "0x5",
        [],
        {},
        {"number": None},
        {"number": "many"},
    ],
    ids=str,
)
def test_a_missing_answer_makes_nothing_final(answer: Any) -> None:
    assert final(answer) == -1
    assert final(answer, named=80) == -1


def test_what_is_named_is_final_and_remembered() -> None:
    finality = Finality()
    assert finality.final_block(AT_100, {"number": hex(80)}, CONFIRMATIONS) == 80
    assert finality.final_block(AT_100, {"number": hex(70)}, CONFIRMATIONS) == 70
    assert finality.named == 80
    assert final({"number": hex(200)}) == 100
    assert final({"number": hex(80)}, latest=None) == -1
