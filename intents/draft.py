"""What an agent asks for, typed and canonical, before anything is decided. Pure."""

import hashlib
import json
from dataclasses import dataclass

from chains.chain import Chain
from chains.fees import FeeRequest


@dataclass(frozen=True)
class Draft:
    """One intent: amounts in wei, addresses as 20 bytes, None where Talon is to fill in.

    Two request bodies that mean the same give equal drafts, whatever spelling of chain, case or amount they used.
    """

    chain: Chain
    to: bytes
    value_wei: int
    data: bytes
    signing_key_path: str
    nonce: int | None
    gas_limit: int | None
    fees: FeeRequest
    simulate_first: bool

    def fingerprint(self) -> bytes:
        """SHA-256 over every field that changes what would be signed; tells a replay from a reused key."""
        canonical = json.dumps(
            [
                self.chain.chain_id,
                self.to.hex(),
                str(self.value_wei),
                hashlib.sha256(self.data).hexdigest(),
                self.signing_key_path,
                self.nonce,
                self.gas_limit,
                None if self.fees.gas_price is None else str(self.fees.gas_price),
                None if self.fees.max_fee_per_gas is None else str(self.fees.max_fee_per_gas),
                None if self.fees.max_priority_fee_per_gas is None else str(self.fees.max_priority_fee_per_gas),
            ]
        )
        return hashlib.sha256(canonical.encode()).digest()
