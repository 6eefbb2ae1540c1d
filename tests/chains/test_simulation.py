from typing import Any

import pytest
from eth_abi.abi import encode

from chains.simulation import READER, Call, Plan, UnreadableError, call_object

A, B, TOKEN = (bytes([n]) * 20 for n in (0xA, 0xB, 0xD))
CALL = Call(A, TOKEN, 5, b"\x01\x02")
PAIRS = [(A, None), (B, None), (A, TOKEN)]


def returned(data: bytes, status: str = "0x1") -> dict[str, Any]:
    return {"status": status, "returnData": f"0x{data.hex()}", "gasUsed": "0x5208", "logs": []}


def words(*numbers: int) -> bytes:
    return encode(["uint256"] * len(numbers), numbers)


def block(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"gasLimit": "0x1c9c380", "calls": list(calls)}


def answer(
    symbol: dict[str, Any], result: dict[str, Any] | None = None, decimals: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    return [
        block(returned(words(10, 20)), returned(words(30))),
        block(result or returned(b"")),
        block(
            returned(words(5, 25)), returned(words(31)), symbol, returned(words(6)) if decimals is None else decimals
        ),
    ]


PLAN = Plan([], [CALL], [PAIRS])


def test_a_call_without_prices_so_that_its_fee_changes_no_balance() -> None:
    assert call_object(CALL) == {
        "from": "0x" + "0a" * 20,
        "to": "0x" + "0d" * 20,
        "value": "0x5",
        "data": "0x0102",
    }
    assert call_object(Call(A, B, 0, b"", 21000))["gas"] == "0x5208"


def test_every_transaction_has_a_block_of_its_own() -> None:
    blocks = Plan([Call(A, B, 1, b"")] * 2, [CALL, CALL], [PAIRS, PAIRS]).params()[0]["blockStateCalls"]
    assert [len(each["calls"]) for each in blocks] == [1, 1, 2, 1, 4, 2, 1, 4]
    assert list(blocks[0]["stateOverrides"]) == [f"0x{READER.hex()}"]
    assert all("stateOverrides" not in each for each in blocks[1:])


def test_read() -> None:
    (ran,) = PLAN.read(answer(returned(encode(["string"], ["TST"]))))
    assert ran.succeeded
    assert ran.gas_used == 21000
    assert ran.before == {(A, None): 10, (B, None): 20, (A, TOKEN): 30}
    assert ran.after == {(A, None): 5, (B, None): 25, (A, TOKEN): 31}
    assert ran.symbols == {TOKEN: "TST"}
    assert ran.decimals == {TOKEN: 6}


@pytest.mark.parametrize(
    ("decimals", "number"),
    [
        (returned(words(0)), 0),
        (returned(words(77)), 77),
        (returned(words(78)), None),
        (returned(words(2**255)), None),
        (returned(b""), None),
        (returned(words(6), status="0x0"), None),
        ({}, None),
    ],
)
def test_a_tokens_decimals_may_be_missing_or_absurd(decimals: dict[str, Any], number: int | None) -> None:
    (ran,) = PLAN.read(answer(returned(b""), decimals=decimals))
    assert ran.decimals == {TOKEN: number}


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (returned(b"MKR".ljust(32, b"\0")), "MKR"),
        (returned(b"\xff\xfe".ljust(32, b"\0")), "��"),
        (returned(encode(["string"], ["a\nb\x00c"])), "a b c"),
        (returned(encode(["string"], ["x" * 1000])), "x" * 32),
        (returned(b""), ""),
        (returned(b"\x01" * 64), ""),
        (returned(encode(["string"], ["NO"]), status="0x0"), ""),
        ({}, ""),
    ],
)
def test_a_tokens_name_for_itself_is_untrusted(symbol: dict[str, Any], text: str) -> None:
    (ran,) = PLAN.read(answer(symbol))
    assert ran.symbols == {TOKEN: text}


@pytest.mark.parametrize("balance", [returned(b""), returned(words(1, 2)), returned(words(1), status="0x0"), {}])
def test_what_does_not_answer_like_a_token_has_no_balances(balance: dict[str, Any]) -> None:
    told = answer(returned(b""))
    told[0]["calls"][1] = balance
    (ran,) = PLAN.read(told)
    assert (A, TOKEN) not in ran.before


def test_a_failure_keeps_its_data_and_words() -> None:
    failed = returned(b"", status="0x0") | {
        "error": {"code": 3, "message": "execution reverted", "data": "0xdeadbeef"}
    }
    (ran,) = PLAN.read(answer(returned(b""), failed))
    assert not ran.succeeded
    assert ran.returned == bytes.fromhex("deadbeef")
    assert ran.message == "execution reverted"


GOOD = answer(returned(b""))


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        [],
        GOOD[:2],
        [*GOOD, block()],
        [GOOD[0], block(), GOOD[2]],
        [GOOD[0], block(returned(b""), returned(b"")), GOOD[2]],
        [GOOD[0], {"calls": GOOD[1]["calls"]}, GOOD[2]],
        [GOOD[0], block({"status": "0x1"}), GOOD[2]],
        [GOOD[0], block(returned(b"", status="maybe")), GOOD[2]],
        [block(returned(words(10)), returned(words(30))), *GOOD[1:]],
        [*GOOD[:2], block(returned(words(5, 25)))],
        [{"calls": None}, *GOOD[1:]],
        [None, None, None],
    ],
)
def test_an_answer_to_something_else_is_refused(told: object) -> None:
    with pytest.raises(UnreadableError):
        PLAN.read(told)
