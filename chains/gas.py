"""Whether a gas limit can ever do: what the bytes cost before anything runs, and what chain and block allow. [pure]

Nothing here asks a node. Chains may charge more (a share of L1, for one); what a simulation finds goes before this.
"""

from dataclasses import dataclass
from typing import Final

# Every transaction; a plain transfer on Ethereum takes exactly this
TRANSACTION_GAS: Final = 21_000
# EIP-2028: calldata by the byte
ZERO_BYTE_GAS: Final = 4
OTHER_BYTE_GAS: Final = 16
# EIP-7623: the least a transaction pays for its calldata, per token; a byte that is not zero is four tokens
FLOOR_TOKEN_GAS: Final = 10
# EIP-7825: the most that one transaction may be given on Ethereum
ETHEREUM_MAX_TX_GAS: Final = 2**24


@dataclass(frozen=True, slots=True)
class GasFault:
    """Why a gas limit can never do: `code` for programs, `reason` for people."""

    code: str
    reason: str


def intrinsic_gas(data: bytes) -> int:
    """What a call with `data` costs before anything runs, on every chain (EIP-2028).

    Creations cost more (EIP-3860); nothing here creates a contract.
    """
    zeros = data.count(0)
    return TRANSACTION_GAS + ZERO_BYTE_GAS * zeros + OTHER_BYTE_GAS * (len(data) - zeros)


def least_gas(data: bytes) -> int:
    """The least gas limit with which a call with `data` is taken on a chain with EIP-7623, as Ethereum is."""
    zeros = data.count(0)
    return max(intrinsic_gas(data), TRANSACTION_GAS + FLOOR_TOKEN_GAS * (zeros + 4 * (len(data) - zeros)))


def floor_doubt(gas_limit: int, data: bytes) -> str | None:
    """Why this gas limit may not do: only a node can say whether its chain has the floor. None where it will do."""
    if gas_limit >= (least := least_gas(data)):
        return None
    return (
        f"gas_limit {gas_limit} is below the {least} that this data takes on chains with EIP-7623, and no simulation"
        " has shown that this chain takes less"
    )


def gas_fault(gas_limit: int, data: bytes, max_tx_gas: int | None, block_gas_limit: int | None) -> GasFault | None:
    """Why no node will ever take a transaction with this gas limit; None when nothing speaks against it for sure."""
    intrinsic = intrinsic_gas(data)
    if gas_limit < intrinsic:
        return GasFault(
            "INTRINSIC_GAS_TOO_LOW",
            f"gas_limit {gas_limit} is below the {intrinsic} that the transaction costs before anything runs"
            f" (EIP-2028; {least_gas(data)} on chains with EIP-7623)",
        )
    if max_tx_gas is not None and gas_limit > max_tx_gas:
        return GasFault(
            "GAS_LIMIT_ABOVE_CHAIN",
            f"gas_limit {gas_limit} is above the {max_tx_gas} that this chain allows a transaction (EIP-7825)",
        )
    if block_gas_limit is not None and gas_limit > block_gas_limit:
        return GasFault(
            "GAS_LIMIT_ABOVE_BLOCK",
            f"gas_limit {gas_limit} is above the block's gas limit of {block_gas_limit}",
        )
    return None
