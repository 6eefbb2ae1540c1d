import pytest

from chains.errors import BadHex, RpcRefused, RpcUnavailable
from chains.quantities import AMOUNT_BITS, COUNT_BITS, parse_quantity, quantity

NO_QUANTITIES: list[object] = [
    None,
    {},
    [],
    ["0x1"],
    "",
    "0x",
    "1",
    "latest",
    5,
    1.5,
    True,
    "0xzz",
    "-0x1",
    "+0x1",
    "0x-1",
    "0x_1",
    "0x1_0",
    " 0x1",
    "0x1\n",
    "0X1",
    "0x\N{FULLWIDTH DIGIT ONE}",
    "0x1" + "0" * 64,
    "0x" + "f" * 5_000,
    "0x" + "0" * 5_000,
]


@pytest.mark.parametrize(
    ("text", "number"), [("0x0", 0), ("0xfF", 255), ("0x00a", 10), ("0x7" + "f" * 15, 2**63 - 1)]
)
def test_quantities(text: str, number: int) -> None:
    assert parse_quantity(text, COUNT_BITS) == quantity(text, COUNT_BITS) == number


def test_the_largest_amount() -> None:
    assert quantity("0x" + "f" * 64, AMOUNT_BITS) == 2**256 - 1


@pytest.mark.parametrize("answer", [*NO_QUANTITIES, hex(2**63)])
def test_everything_else_is_none(answer: object) -> None:
    with pytest.raises(BadHex):
        parse_quantity(answer, COUNT_BITS)
    with pytest.raises(RpcUnavailable, match="not a number"):
        quantity(answer, COUNT_BITS)


def test_a_refusal_in_place_of_a_number_is_raised() -> None:
    with pytest.raises(RpcRefused, match="pruned"):
        quantity(RpcRefused(-32000, "pruned"), COUNT_BITS)
