"""Approvals and transactions for tests of the signer."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from chains.transactions import DynamicFeeTransaction, LegacyTransaction, Transaction, signing_digest
from guardrails.approval import Approval, Kind


def some_transaction(**fields: Any) -> DynamicFeeTransaction:
    """A plain EIP-1559 transfer; `fields` override."""
    plain: dict[str, Any] = {
        "chain_id": 31337,
        "nonce": 7,
        "max_priority_fee_per_gas": 10**9,
        "max_fee_per_gas": 3 * 10**9,
        "gas_limit": 21_000,
        "to": bytes.fromhex("00000000000000000000000000000000000000aa"),
        "value": 10**18,
        "data": b"",
    }
    return DynamicFeeTransaction(**plain | fields)


def random_transaction() -> Transaction:
    """Either type, every field random within the protocol's range."""
    common: dict[str, Any] = {
        "chain_id": 1 + secrets.randbelow(2**53),
        "nonce": secrets.randbelow(2 ** secrets.choice((8, 63))),
        "gas_limit": secrets.randbelow(2**40),
        "to": secrets.token_bytes(20),
        "value": secrets.randbelow(2 ** secrets.choice((1, 64, 255))),
        "data": secrets.token_bytes(secrets.choice((0, 1, 4, 300))),
    }
    if secrets.randbelow(2):
        return LegacyTransaction(gas_price=secrets.randbelow(2**64), **common)
    tip, cap = sorted(secrets.randbelow(2**64) for _ in range(2))
    return DynamicFeeTransaction(max_priority_fee_per_gas=tip, max_fee_per_gas=cap, **common)


def approval_of(key_id: UUID, transaction: Transaction, kind: Kind = "submit", **fields: Any) -> Approval:
    """An approval of exactly this transaction, good for half a minute; `fields` override."""
    good: dict[str, Any] = {
        "id": uuid4(),
        "kind": kind,
        "agent_id": uuid4(),
        "key_id": key_id,
        "digest": signing_digest(transaction),
        "expires_at": datetime.now(UTC) + timedelta(seconds=30),
    }
    return Approval(**good | fields)
