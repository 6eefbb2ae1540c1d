"""A transaction of the type that its fees ask for. [pure]"""

from chains.fees import DynamicFees, LegacyFees
from chains.transactions import DynamicFeeTransaction, LegacyTransaction, Transaction


def build(
    fees: LegacyFees | DynamicFees, *, chain_id: int, nonce: int, gas_limit: int, to: bytes, value: int, data: bytes
) -> Transaction:
    """Type 0 (EIP-155) for a gas price, type 2 (EIP-1559) for a cap and a tip; amounts in wei."""
    if isinstance(fees, LegacyFees):
        return LegacyTransaction(
            chain_id=chain_id,
            nonce=nonce,
            gas_price=fees.gas_price,
            gas_limit=gas_limit,
            to=to,
            value=value,
            data=data,
        )
    return DynamicFeeTransaction(
        chain_id=chain_id,
        nonce=nonce,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        max_fee_per_gas=fees.max_fee_per_gas,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
    )
