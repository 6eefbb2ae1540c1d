from eth_utils.crypto import keccak

from chains.transfers import (
    DEPOSIT_TOPIC,
    NATIVE_MARKER,
    TRANSFER_FROM_SELECTOR,
    TRANSFER_SELECTOR,
    TRANSFER_TOPIC,
    WITHDRAWAL_TOPIC,
    guess,
    touched,
)

A, B, C, TOKEN = (bytes([n]) * 20 for n in (0xA, 0xB, 0xC, 0xD))


def log(emitter: bytes, *topics: bytes) -> dict[str, object]:
    return {"address": f"0x{emitter.hex()}", "topics": [f"0x{topic.hex()}" for topic in topics], "data": "0x"}


def word(address: bytes) -> bytes:
    return bytes(12) + address


def test_topics_are_those_of_the_standards() -> None:
    assert keccak(text="Transfer(address,address,uint256)") == TRANSFER_TOPIC
    assert keccak(text="Deposit(address,uint256)") == DEPOSIT_TOPIC
    assert keccak(text="Withdrawal(address,uint256)") == WITHDRAWAL_TOPIC
    assert keccak(text="transfer(address,uint256)")[:4] == TRANSFER_SELECTOR
    assert keccak(text="transferFrom(address,address,uint256)")[:4] == TRANSFER_FROM_SELECTOR


def test_logs_name_holders() -> None:
    logs = [
        log(TOKEN, TRANSFER_TOPIC, word(A), word(B)),
        log(NATIVE_MARKER, TRANSFER_TOPIC, word(A), word(C)),
        log(TOKEN, DEPOSIT_TOPIC, word(C)),
        log(TOKEN, WITHDRAWAL_TOPIC, word(A)),
        log(TOKEN, TRANSFER_TOPIC, word(bytes(20)), word(B)),
    ]
    assert touched(logs) == {(A, TOKEN), (B, TOKEN), (C, TOKEN), (A, None), (C, None)}


def test_other_logs_name_nobody() -> None:
    logs = [
        log(TOKEN),
        log(TOKEN, keccak(text="Approval(address,address,uint256)"), word(A), word(B)),
        # ERC-721: the third indexed argument is a token's number, not an amount
        log(TOKEN, TRANSFER_TOPIC, word(A), word(B), bytes(32)),
        log(TOKEN, TRANSFER_TOPIC, word(A)),
        log(TOKEN, TRANSFER_TOPIC, b"\xff" * 32, b"\x01"),
        {"address": None, "topics": None},
        {"topics": ["nonsense"]},
    ]
    assert touched(logs) == set()


def test_guesses_from_the_calldata() -> None:
    assert guess(A, B, b"") == {(A, None), (B, None)}
    assert guess(A, TOKEN, TRANSFER_SELECTOR + word(B) + bytes(32)) == {
        (A, None),
        (TOKEN, None),
        (A, TOKEN),
        (B, TOKEN),
    }
    assert guess(A, TOKEN, TRANSFER_FROM_SELECTOR + word(B) + word(C) + bytes(32)) == {
        (A, None),
        (TOKEN, None),
        (B, TOKEN),
        (C, TOKEN),
    }
    assert guess(A, TOKEN, TRANSFER_SELECTOR) == {(A, None), (TOKEN, None)}
