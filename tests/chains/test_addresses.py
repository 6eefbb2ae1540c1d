import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from chains.addresses import format_address, parse_address
from chains.errors import BadAddress

# The examples of EIP-55 itself
EIP_55 = (
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
MIXED = EIP_55[4]


@pytest.mark.parametrize("text", EIP_55)
def test_eip_55_examples(text: str) -> None:
    assert format_address(parse_address(text)) == text


@pytest.mark.parametrize("text", [MIXED.lower(), "0x" + MIXED[2:].upper()])
def test_one_case_needs_no_checksum(text: str) -> None:
    assert parse_address(text) == bytes.fromhex(MIXED[2:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        MIXED[2:],
        "0X" + MIXED[2:],
        MIXED[:-1],
        MIXED + "0",
        " " + MIXED,
        MIXED + "\n",
        MIXED[:-1] + "g",
        MIXED.replace("5aA", "5AA"),
        MIXED[:-1] + "D",
        "vitalik.eth",
        "0x" + "１" * 40,
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(text)


@given(st.binary(min_size=20, max_size=20))
def test_text_and_back(address: bytes) -> None:
    assert format_address(address) == to_checksum_address(address)
    assert parse_address(format_address(address)) == address


@given(st.binary(min_size=20, max_size=20), st.integers(0, 39))
def test_one_letter_in_the_wrong_case_is_refused(address: bytes, position: int) -> None:
    text = format_address(address)
    digit = text[2 + position]
    changed = text[: 2 + position] + digit.swapcase() + text[3 + position :]
    if changed == text or changed[2:] in (changed[2:].lower(), changed[2:].upper()):
        return
    with pytest.raises(BadAddress, match="checksum"):
        parse_address(changed)


@pytest.mark.parametrize("address", [b"", bytes(19), bytes(21), bytes(32)])
def test_only_twenty_bytes_are_an_address(address: bytes) -> None:
    with pytest.raises(BadAddress):
        format_address(address)
