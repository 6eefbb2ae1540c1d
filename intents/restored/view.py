"""The newest restore as its administrator sees it."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.addresses import format_address
from chains.hexdata import format_data
from chains.units import format_ether
from vault.schemas import Page

_NEWEST = text("SELECT * FROM restores ORDER BY found_at DESC LIMIT 1")
_CHAINS = text("SELECT chain, chain_id, asked_at FROM restored_chains WHERE restore_id = :id ORDER BY chain_id")
_WALLETS = text("""
    SELECT count(*) AS wallets, count(listed_at) AS listed FROM restored_wallets WHERE restore_id = :id
""")
# with what an earlier one still misses: that fills windows until it is entered
_COUNT = text("SELECT count(*) FROM restored_transactions WHERE restore_id = :id OR value_wei IS NULL")
_PAGE = text("""
    SELECT * FROM restored_transactions WHERE restore_id = :id OR value_wei IS NULL
    ORDER BY chain_id, address, nonce LIMIT :limit OFFSET :offset
""")


async def show(connection: AsyncConnection, page: Page) -> dict[str, Any]:
    """The fields of a `RestoreReply`."""
    restore = (await connection.execute(_NEWEST)).first()
    if restore is None:
        empty: dict[str, Any] = {"frozen": False, "chains": [], "wallets": 0, "wallets_listed": 0}
        return empty | {"transactions": [], "transaction_count": 0}
    named = {"id": restore.id}
    wallets = (await connection.execute(_WALLETS, named)).one()
    rows = await connection.execute(_PAGE, named | {"limit": page.limit, "offset": page.offset})
    return {
        "frozen": restore.opened_at is None,
        **{
            name: getattr(restore, name)
            for name in ("found_at", "found_by", "why", "listed_at", "counted_at", "credentials_ended_at")
        },
        "opened_at": restore.opened_at,
        "opened_by": restore.opened_by,
        "chains": [dict(row) for row in (await connection.execute(_CHAINS, named)).mappings()],
        "wallets": wallets.wallets,
        "wallets_listed": wallets.listed,
        "transactions": [_transaction(row) for row in rows],
        "transaction_count": (await connection.execute(_COUNT, named)).scalar_one(),
    }


def _transaction(row: Any) -> dict[str, Any]:
    value_wei = None if row.value_wei is None else int(row.value_wei)
    shown = {
        "chain": row.chain,
        "chain_id": row.chain_id,
        "wallet": format_address(bytes(row.address)),
        "nonce": row.nonce,
        "last_nonce": row.last_nonce,
        "value_wei": None if value_wei is None else str(value_wei),
        "value": None if value_wei is None else format_ether(value_wei),
        "agents": row.agents,
        "entered_at": row.entered_at,
    }
    if row.tx_hash is None:
        return shown
    return shown | {
        "tx_hash": format_data(bytes(row.tx_hash)),
        "to": format_address(bytes(row.to_address)),
        "data_selector": format_data(bytes(row.data_head)) if row.data_length >= 4 else None,
        "data_length": row.data_length,
        "block_number": row.block_number,
        "block_at": row.block_at,
    }
