import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.errors import BadHex
from chains.hexdata import format_data, parse_data


@given(st.binary(max_size=64))
def test_text_and_back(data: bytes) -> None:
    assert parse_data(format_data(data), 64) == data
    assert parse_data("0x" + data.hex().upper(), 64) == data


def test_nothing_is_no_data() -> None:
    assert parse_data(None, 0) == b""
    assert parse_data("0x", 0) == b""


@pytest.mark.parametrize("text", ["", "0", "00", "0x0", "0x000", "0xzz", "0X00", "0x 00", "0x00\n", "0x0０", "0x-1"])
def test_refused(text: str) -> None:
    with pytest.raises(BadHex):
        parse_data(text, 8)


def test_limit_is_the_last_size_taken() -> None:
    assert len(parse_data("0x" + "00" * 8, 8)) == 8
    with pytest.raises(BadHex, match="at most 8 bytes"):
        parse_data("0x" + "00" * 9, 8)
