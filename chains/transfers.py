"""Whose balances of what a call touches: guessed from its bytes, then learnt from its logs. [pure]"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from chains.reverts import revert_data as hex_bytes

# A holder and a token; None is the native coin
Pair = tuple[bytes, bytes | None]

# Where traceTransfers (eth_simulateV1) logs native transfers, as if the coin were a token
NATIVE_MARKER: Final = b"\xee" * 20
ZERO_ADDRESS: Final = bytes(20)

# keccak of Transfer(address,address,uint256), Deposit(address,uint256), Withdrawal(address,uint256): ERC-20, WETH9
TRANSFER_TOPIC: Final = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
DEPOSIT_TOPIC: Final = bytes.fromhex("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c")
WITHDRAWAL_TOPIC: Final = bytes.fromhex("7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65")
# Indexed addresses per event; a Transfer with a third indexed argument is ERC-721's
_HOLDERS: Final[Mapping[bytes, int]] = {TRANSFER_TOPIC: 2, DEPOSIT_TOPIC: 1, WITHDRAWAL_TOPIC: 1}

TRANSFER_SELECTOR: Final = bytes.fromhex("a9059cbb")
TRANSFER_FROM_SELECTOR: Final = bytes.fromhex("23b872dd")


def guess(sender: bytes, to: bytes, data: bytes) -> set[Pair]:
    """What a call most likely touches, so that one exchange is often enough; a wrong guess costs nothing."""
    pairs: set[Pair] = {(sender, None), (to, None)}
    if data[:4] == TRANSFER_SELECTOR and len(data) >= 36:
        pairs |= {(sender, to), (data[16:36], to)}
    if data[:4] == TRANSFER_FROM_SELECTOR and len(data) >= 68:
        pairs |= {(data[16:36], to), (data[48:68], to)}
    return pairs


def touched(logs: Iterable[Mapping[str, Any]]) -> set[Pair]:
    """Every holder and token that a call's logs name, native transfers included."""
    pairs: set[Pair] = set()
    for log in logs:
        emitter = hex_bytes(log.get("address"))
        topics = [hex_bytes(topic) for topic in log.get("topics") or ()]
        holders = _HOLDERS.get(topics[0]) if topics else None
        if len(emitter) != 20 or holders is None or len(topics) != 1 + holders:
            continue
        token = None if emitter == NATIVE_MARKER else emitter
        for topic in topics[1:]:
            holder = topic[12:]
            # minting and burning name the zero address: nobody's balance
            if len(topic) == 32 and topic[:12] == bytes(12) and (token is None or holder != ZERO_ADDRESS):
                pairs.add((holder, token))
    return pairs
