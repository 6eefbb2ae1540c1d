"""What Talon knows about a chain. [pure]"""

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain by its canonical id (EIP-155).

    `id` is the registry row's, None before it has one. `max_gas_cost_wei` is the most that one transaction's gas
    may cost; after `confirmations` blocks a block counts as final where the chain names no finalised one.
    `max_tx_gas` is the most gas that the chain's rules allow one transaction (EIP-7825); None without such a rule.
    """

    id: UUID | None
    name: str
    display_name: str
    chain_id: int
    native_currency: str
    is_testnet: bool
    is_enabled: bool
    # endpoints may carry an access key in their path
    rpc_url: str | None = field(repr=False)
    ws_url: str | None = field(repr=False)
    explorer_url: str | None
    max_gas_cost_wei: int
    confirmations: int
    max_tx_gas: int | None = None
    # of the chain's first block, once an endpoint has named it: another one under the same id is another chain
    genesis_hash: bytes | None = None
