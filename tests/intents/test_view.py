"""The wire form of a transaction: the contract's fields, nothing null, nothing secret unasked."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from intents import view
from intents.models import Transaction
from intents.status import Status

CONTRACT = {
    *("id", "agent_id", "chain", "chain_id", "to", "value_wei", "status", "signed_tx", "tx_hash", "error_message"),
    *("created_at", "signed_at", "simulation_id", "simulation_status", "tenderly_dashboard_url"),
    *("max_fee_per_gas", "max_priority_fee_per_gas"),
}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    empty = {column.name: None for column in Transaction.__table__.columns}
    return empty | {
        "id": uuid4(),
        "agent_id": uuid4(),
        "chain": "anvil",
        "chain_id": 31337,
        "wallet_address": b"\x11" * 20,
        "to_address": bytes.fromhex("5290840009852788" + "6e0f7030069857d2e4169ee7"),
        "value_wei": 2**255,
        "status": "broadcast",
        "tx_hash": b"\xab" * 32,
        "nonce": 7,
        "created_at": NOW,
        **changes,
    }


def test_amounts_are_text_and_addresses_checksummed() -> None:
    shown = view.transaction(row())
    assert shown["value_wei"] == str(2**255)
    assert shown["to"] == "0x52908400098527886E0F7030069857D2E4169EE7"
    assert shown["created_at"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("status", list(Status))
def test_only_the_contracts_fields_unasked(status: Status) -> None:
    shown = view.transaction(row(status=status.value, block_number=5, succeeded=True))
    assert shown.keys() <= CONTRACT
    assert None not in shown.values()
    assert "signed_tx" not in shown


def test_what_is_asked_for_is_added() -> None:
    mined = row(block_number=5, block_hash=b"\x01" * 32, gas_used=21_000, effective_gas_price=7, succeeded=False)
    shown = view.transaction(mined, signed_tx=b"\x02\x03", include={"receipt", "signing"})
    assert shown["signed_tx"] == "0x0203"
    assert (shown["nonce"], shown["receipt"]["status"], shown["receipt"]["final"]) == (7, "reverted", False)
    assert shown["receipt"]["effective_gas_price"] == "7"
    assert "receipt" not in view.transaction(row(), include={"receipt"})
