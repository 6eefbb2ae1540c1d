"""How a transaction looks on the wire. Pure."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from chains.addresses import format_address
from intents.status import WIRE, Status

# Fields of ours, shown only when asked for: generated clients refuse keys they do not know
RECEIPT: Final = "receipt"
SIGNING: Final = "signing"
INCLUDABLE: Final = frozenset({RECEIPT, SIGNING})


def transaction(
    row: Mapping[str, Any], *, signed_tx: bytes | None = None, include: Collection[str] = ()
) -> dict[str, Any]:
    """The contract's TransactionResponse: amounts in wei as strings, null members left out."""
    body = {
        "id": str(row["id"]),
        "agent_id": str(row["agent_id"]),
        "chain": row["chain"],
        "chain_id": row["chain_id"],
        "to": format_address(bytes(row["to_address"])),
        "value_wei": str(row["value_wei"]),
        "status": WIRE[Status(row["status"])],
        "signed_tx": hex_of(signed_tx),
        "tx_hash": hex_of(row["tx_hash"]),
        "error_message": row["error_message"],
        "created_at": timestamp(row["created_at"]),
        "signed_at": timestamp(row["signed_at"]),
        "simulation_id": text_of(row["simulation_id"]),
        "simulation_status": row["simulation_status"],
        "max_fee_per_gas": text_of(row["max_fee_per_gas"]),
        "max_priority_fee_per_gas": text_of(row["max_priority_fee_per_gas"]),
    }
    if SIGNING in include:
        body |= {
            "from": format_address(bytes(row["wallet_address"])),
            "nonce": row["nonce"],
            "type": row["transaction_type"],
            "gas_limit": row["gas_limit"],
            "gas_price": text_of(row["gas_price"]),
        }
    if RECEIPT in include:
        body |= {"receipt": receipt(row)}
    return {name: value for name, value in body.items() if value is not None}


def receipt(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the chain made of it: block, gas, price paid, and whether the call succeeded; None until mined.

    What no node has said or proven is left out.
    """
    if row["block_number"] is None:
        return None
    body = {
        "block_number": row["block_number"],
        "block_hash": hex_of(row["block_hash"]),
        "gas_used": row["gas_used"],
        "effective_gas_price": text_of(row["effective_gas_price"]),
        "status": {True: "success", False: "reverted"}.get(row["succeeded"]),
        "final": row["final_at"] is not None,
    }
    return {name: value for name, value in body.items() if value is not None}


def sign_only(row: Mapping[str, Any], signed_tx: bytes) -> dict[str, Any]:
    """The contract's SignTransactionResponse."""
    body = {
        "signed_tx": hex_of(signed_tx),
        "tx_hash": hex_of(row["tx_hash"]),
        "from": format_address(bytes(row["wallet_address"])),
        "to": format_address(bytes(row["to_address"])),
        "chain": row["chain"],
        "chain_id": row["chain_id"],
        "nonce": row["nonce"],
        "value_wei": str(row["value_wei"]),
        "status": "sign_only",
        "simulation_id": text_of(row["simulation_id"]),
        "simulation_status": row["simulation_status"],
        "max_fee_per_gas": text_of(row["max_fee_per_gas"]),
        "max_priority_fee_per_gas": text_of(row["max_priority_fee_per_gas"]),
    }
    return {name: value for name, value in body.items() if value is not None}


def hex_of(value: bytes | None) -> str | None:
    """0x-prefixed hex."""
    return None if value is None else f"0x{bytes(value).hex()}"


def text_of(value: object | None) -> str | None:
    """Amounts and ids go out as text: JSON numbers lose digits."""
    return None if value is None else str(value)


def timestamp(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with `Z`."""
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
