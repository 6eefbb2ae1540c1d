import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import BadAmount
from chains.units import ETHER, MAX_UINT256, format_ether, parse_ether, parse_wei

AMOUNTS = st.integers(0, MAX_UINT256)


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0", 0),
        ("0.0", 0),
        ("1", ETHER),
        ("007", 7 * ETHER),
        ("0.25", ETHER // 4),
        ("0.000000000000000001", 1),
        ("1.000000000000000000", ETHER),
        # a default decimal context rounds this one up, to a limit one wei too high
        ("99999999999.999999999999999999", 10**29 - 1),
        (f"{MAX_UINT256 // ETHER}.{MAX_UINT256 % ETHER:018d}", MAX_UINT256),
    ],
)
def test_ether(text: str, wei: int) -> None:
    assert parse_ether(text) == wei


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e18",
        "1E2",
        "NaN",
        "Infinity",
        "0x1",
        "1_000",
        "1,5",
        " 1",
        "1 ",
        "1\n",
        "1.",
        ".5",
        ".",
        "1.2.3",
        "1.0000000000000000001",
        "0.0000000000000000000",
        "１",
        "١",
        "²",
        "1.０",
        f"{MAX_UINT256 // ETHER}.{MAX_UINT256 % ETHER + 1:018d}",
        str(2**256),
        "9" * 5000,
        "0" * 101,
    ],
)
def test_ether_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_ether(text)


@given(AMOUNTS)
def test_ether_text_and_back(wei: int) -> None:
    assert parse_ether(format_ether(wei)) == wei


@given(st.from_regex(r"\A[0-9]{1,40}(\.[0-9]{1,18})?\Z"))
def test_ether_is_exact_for_all_text_that_people_write(text: str) -> None:
    whole, _, fraction = text.partition(".")
    assert parse_ether(text) == int(whole + fraction) * 10 ** (18 - len(fraction))


@given(st.text(max_size=40))
def test_ether_takes_text_or_refuses_it(text: str) -> None:
    try:
        wei = parse_ether(text)
    except BadAmount:
        return
    assert 0 <= wei <= MAX_UINT256
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0"),
        (1, "0.000000000000000001"),
        (ETHER, "1"),
        (ETHER + ETHER // 2, "1.5"),
        (100 * ETHER, "100"),
        (-ETHER // 2, "-0.5"),
    ],
)
def test_format_is_the_shortest_exact_text(wei: int, text: str) -> None:
    assert format_ether(wei) == text


@given(AMOUNTS)
def test_wei_text_and_back(wei: int) -> None:
    assert parse_wei(str(wei)) == wei


@pytest.mark.parametrize("text", ["", "-1", "1.0", "0x1", "1e9", " 1", "1_0", "１", str(2**256), "9" * 101])
def test_wei_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_wei(text)
