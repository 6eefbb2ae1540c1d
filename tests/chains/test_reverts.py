import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from chains.reverts import ERROR_SELECTOR, MAX_TEXT, PANIC_SELECTOR, clean, decode_revert, revert_data


def error(text: str) -> bytes:
    return ERROR_SELECTOR + encode(["string"], [text])


@pytest.mark.parametrize(
    ("data", "message", "reason"),
    [
        (error("not enough tokens"), "execution reverted", "not enough tokens"),
        (error(""), "", "reverted with an empty reason"),
        (error("line\n\x1b[31mred\u202e"), "", "line [31mred"),
        (PANIC_SELECTOR + encode(["uint256"], [0x11]), "", "panic 0x11: arithmetic overflow or underflow"),
        (PANIC_SELECTOR + encode(["uint256"], [0x99]), "", "panic 0x99: unknown panic"),
        (bytes.fromhex("deadbeef"), "", "custom error 0xdeadbeef"),
        (bytes.fromhex("deadbeef") + b"\x07" * 2, "", "custom error 0xdeadbeef with data 0x0707"),
        (b"", "execution reverted: no luck", "no luck"),
        (b"", "execution reverted", "reverted without a reason"),
        (b"", "", "reverted without a reason"),
        (b"\x01\x02", "odd", "odd"),
        # an Error(string) that is none is shown as it is
        (ERROR_SELECTOR + b"\xff" * 32, "", "custom error 0x08c379a0 with data 0x" + "ff" * 32),
        (ERROR_SELECTOR + encode(["bytes"], [b"\xff\xfe"]), "", None),
    ],
)
def test_reason(data: bytes, message: str, reason: str | None) -> None:
    if reason is None:
        assert decode_revert(data, message).startswith("custom error 0x08c379a0")
    else:
        assert decode_revert(data, message) == reason


def test_long_reasons_are_shortened() -> None:
    assert len(decode_revert(error("a" * 10_000))) == MAX_TEXT
    shown = decode_revert(b"\x01" * 10_000)
    assert len(shown) < 400
    assert shown.endswith("(shortened)")


@given(st.binary(max_size=300), st.text(max_size=80))
def test_whatever_a_contract_returns_is_one_printable_line(data: bytes, message: str) -> None:
    for prefix in (b"", ERROR_SELECTOR, PANIC_SELECTOR):
        reason = decode_revert(prefix + data, message)
        assert reason
        assert reason.isprintable()
        assert clean(reason, 1000) == reason


@pytest.mark.parametrize(("text", "data"), [("0x0102", b"\x01\x02"), ("0x", b""), (None, b""), (5, b""), ("zz", b"")])
def test_revert_data(text: object, data: bytes) -> None:
    assert revert_data(text) == data
