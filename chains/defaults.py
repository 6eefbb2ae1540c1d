"""The chains every installation starts with. [pure]

No endpoints: whom to ask about money is the operator's decision, so a chain works once he names one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chains.chain import Chain
from chains.gas import ETHEREUM_MAX_TX_GAS
from chains.units import ETHER


def _chain(
    name: str,
    display_name: str,
    chain_id: int,
    explorer_url: str | None,
    *,
    ceiling_milliether: int,
    confirmations: int,
    native_currency: str = "ETH",
    is_testnet: bool = False,
    max_tx_gas: int | None = None,
) -> Chain:
    return Chain(
        id=None,
        name=name,
        display_name=display_name,
        chain_id=chain_id,
        native_currency=native_currency,
        is_testnet=is_testnet,
        is_enabled=True,
        rpc_url=None,
        ws_url=None,
        explorer_url=explorer_url,
        max_gas_cost_wei=ceiling_milliether * ETHER // 1000,
        confirmations=confirmations,
        max_tx_gas=max_tx_gas,
    )


# Ceilings let 500,000 gas through at some ten times a busy day's price, and stop a slipped decimal point.
# Confirmations: two epochs on Ethereum; on rollups about as long as their batches take to reach it.
DEFAULT_CHAINS: Final = (
    _chain(
        "ethereum",
        "Ethereum",
        1,
        "https://etherscan.io",
        ceiling_milliether=100,
        confirmations=64,
        max_tx_gas=ETHEREUM_MAX_TX_GAS,
    ),
    _chain("base", "Base", 8453, "https://basescan.org", ceiling_milliether=10, confirmations=450),
    _chain("optimism", "OP Mainnet", 10, "https://optimistic.etherscan.io", ceiling_milliether=10, confirmations=450),
    _chain("arbitrum-one", "Arbitrum One", 42161, "https://arbiscan.io", ceiling_milliether=10, confirmations=3600),
    _chain(
        "polygon",
        "Polygon",
        137,
        "https://polygonscan.com",
        ceiling_milliether=10_000,
        confirmations=128,
        native_currency="POL",
    ),
    _chain(
        "sepolia",
        "Sepolia",
        11155111,
        "https://sepolia.etherscan.io",
        ceiling_milliether=100,
        confirmations=64,
        is_testnet=True,
        max_tx_gas=ETHEREUM_MAX_TX_GAS,
    ),
    _chain(
        "base-sepolia",
        "Base Sepolia",
        84532,
        "https://sepolia.basescan.org",
        ceiling_milliether=100,
        confirmations=450,
        is_testnet=True,
    ),
)

# Other spellings people use; never rows of their own, so no second identity can slip past an allowlist
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"mainnet": "ethereum", "arbitrum": "arbitrum-one", "matic": "polygon"}
)

ANVIL: Final = _chain(
    "anvil",
    "Local chain",
    31337,
    None,
    ceiling_milliether=100,
    confirmations=2,
    is_testnet=True,
    max_tx_gas=ETHEREUM_MAX_TX_GAS,
)
