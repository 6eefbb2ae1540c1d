"""What a node says of finality, and what it does not say: unknown is not final."""

from typing import Any

import pytest

from chains.errors import RpcRefused
from chains.finality import Finality

CONFIRMATIONS = 10
AT_100 = hex(100)


def final(finalized: Any, latest: Any = AT_100, named: int = 0, other: int = 0) -> int:
    """By one endpoint that named `named` before, and `other` by another endpoint of the chain."""
    finality = Finality(named)
    finality.beside = (finality, Finality(other))
    return finality.final_block(latest, finalized, CONFIRMATIONS)


# for good: what says that the node does not offer the tag or the method
WITHOUT_TAG = [
    RpcRefused(-32601, "the method eth_getBlockByNumber does not exist/is not available"),
    RpcRefused(-32601, "finalized is not available"),
    RpcRefused(-32602, "invalid argument 0: hex string without 0x prefix"),
    RpcRefused(-32602, "Invalid params"),
    RpcRefused(-32000, "invalid block tag"),
    RpcRefused(-32000, "Unknown block tag: finalized"),
    RpcRefused(-32602, "unsupported block tag: finalized"),
    RpcRefused(-32000, "'finalized' tag not supported on pre-merge network"),
    RpcRefused(-32000, "block parameter finalized is not recognized"),
    RpcRefused(-32000, "finalized tag is not supported yet"),
    RpcRefused(-32602, "finalized is not yet implemented"),
]
# what a node says too that knows the tag, and has no final block yet
NONE_YET = [
    RpcRefused(-32000, "finalized block not found"),
    RpcRefused(-39001, "Unknown block"),
    RpcRefused(-39001, "the tag is not supported"),
    RpcRefused(-32602, "finalized block not found"),
    RpcRefused(-32000, "unknown block"),
    RpcRefused(-32004, "Block not found"),
    RpcRefused(-32602, "no finalized block"),
    RpcRefused(-32602, "Invalid params: the node is syncing"),
    RpcRefused(-32000, 'block "finalized" not available (head block: 100)'),
    RpcRefused(-32000, "block with tag finalized does not exist"),
    RpcRefused(-32000, "the tag has no block yet"),
    {"number": "0x0"},
]


@pytest.mark.parametrize("answer", WITHOUT_TAG + NONE_YET, ids=str)
def test_a_node_that_knows_no_finality_has_confirmations(answer: Any) -> None:
    assert final(answer) == 90
    assert final(answer, latest="0x5") == 0
    # it knew before: nothing is final in this pass
    assert final(answer, named=80) == -1
    # behind what it named itself it lags, or its chain began anew
    assert final(answer, latest=hex(50), named=80) == 40


@pytest.mark.parametrize("answer", WITHOUT_TAG, ids=str)
def test_beside_an_endpoint_that_named_a_final_block_one_without_the_tag_has_confirmations(answer: Any) -> None:
    assert final(answer, other=80) == 90
    assert final(answer, named=80, other=80) == -1


@pytest.mark.parametrize("answer", NONE_YET, ids=str)
def test_beside_an_endpoint_that_named_a_final_block_none_yet_is_unknown(answer: Any) -> None:
    assert final(answer, other=80) == -1
    assert final(answer, latest=hex(50), other=80) == -1
    assert final(answer, latest=hex(50), named=80, other=80) == -1


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
