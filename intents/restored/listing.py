"""List what a frozen copy cannot know, chain by chain, in the worker; whatever was not finished is done again.

A chain that does not answer is waited for while it is enabled: what was paid there counts as well. On one that is
disabled or removed, whatever its wallets may have paid is not known, and waits for a human's amount.
"""

import logging
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chains.chain import Chain
from intents.outside import accounts
from intents.outside.compare import is_asked
from intents.restored.keep import keep
from intents.restored.ranges import gaps
from intents.restored.search import MAX_NONCES, Sought, has_receipt, known_to_a_node, search
from intents.restored.survey import survey
from vault.context import Context
from vault.networks import repository
from vault.networks.service import chain_of, load_chain
from vault.restores import gate
from vault.schemas import Page

log = logging.getLogger(__name__)

MAX_CHAINS: Final = 1_000
# whether there is a list to go on with, in SQL
IS_DUE: Final = "EXISTS (SELECT FROM restores WHERE opened_at IS NULL AND listed_at IS NULL)"
# wallets of a chain that are looked for together
AT_ONCE: Final = 20

_SEEN = text("""
    INSERT INTO restored_chains (restore_id, chain_id, chain) VALUES (:restore_id, :chain_id, :chain)
    ON CONFLICT DO NOTHING
""")
_FORGET = text("""
    DELETE FROM restored_chains WHERE restore_id = :restore_id AND asked_at IS NULL AND chain_id <> ALL(:chain_ids)
""")
_ASKED = text("SELECT chain_id FROM restored_chains WHERE restore_id = :restore_id AND asked_at IS NOT NULL")
_NOT_ASKED = text("""
    INSERT INTO restored_wallets (restore_id, chain_id, address, low, agreed, mined, high)
    SELECT :restore_id, chain_id, address, next_nonce, next_nonce, next_nonce, next_nonce FROM wallets
    WHERE chain_id = :chain_id ON CONFLICT DO NOTHING
""")
_ALL_SAID = text("""
    UPDATE restored_chains SET asked_at = clock_timestamp() WHERE restore_id = :restore_id AND chain_id = :chain_id
""")
_WAITING = text("""
    SELECT address, low, agreed, mined, high FROM restored_wallets
    WHERE restore_id = :restore_id AND chain_id = :chain_id AND listed_at IS NULL ORDER BY address LIMIT :most
""")
# what this copy knows of a wallet's nonces: its bytes, and whether a block of them was seen already
_OURS = text("""
    SELECT t.nonce, a.tx_hash, t.block_number IS NOT NULL AS is_mined
    FROM transactions t JOIN attempts a ON a.transaction_id = t.id
    WHERE t.chain_id = :chain_id AND t.wallet_address = :address AND t.nonce >= :low AND t.nonce < :high
      AND t.chain_reset_at IS NULL
    ORDER BY t.nonce DESC LIMIT :most
""")
_LISTED = text("""
    UPDATE restores SET listed_at = clock_timestamp() WHERE id = :restore_id AND listed_at IS NULL
      AND NOT EXISTS (SELECT FROM restored_chains c WHERE c.restore_id = restores.id AND c.asked_at IS NULL)
      AND NOT EXISTS (SELECT FROM restored_wallets w WHERE w.restore_id = restores.id AND w.listed_at IS NULL)
""")
MAX_OURS: Final = 10_000


@dataclass(frozen=True)
class _Ours:
    """Nonces of ours by the hashes of their bytes; those of `mined` were seen in a block."""

    by_hash: dict[bytes, int]
    mined: frozenset[int]


async def list_restored(context: Context) -> None:
    """Go on with the list of the restore that keeps this instance frozen, if one does and it has none yet."""
    async with context.database.statements() as connection:
        restore = await gate.find(connection)
        if restore is None or restore.listed_at is not None:
            return
        chains = await _chains(connection, context)
        for chain, _ in chains:
            await connection.execute(
                _SEEN, {"restore_id": restore.id, "chain_id": chain.chain_id, "chain": chain.name}
            )
        # one that was disabled since, without a wallet, is not waited for
        ids = [chain.chain_id for chain, _ in chains]
        await connection.execute(_FORGET, {"restore_id": restore.id, "chain_ids": ids})
        asked = set((await connection.execute(_ASKED, {"restore_id": restore.id})).scalars())
    for chain, is_enabled in chains:
        if chain.chain_id not in asked and not await survey(context, restore.id, chain, all_keys=is_enabled):
            if is_enabled:
                continue
            await _nothing_known(context, restore.id, chain)
        while await _list_some(context, restore.id, chain):
            pass
    async with context.database.statements() as connection:
        if (await connection.execute(_LISTED, {"restore_id": restore.id})).rowcount:
            log.warning("what this restored copy does not know is listed: GET /v1/admin/restore")


async def _chains(connection: AsyncConnection, context: Context) -> list[tuple[Chain, bool]]:
    """The external chains to ask, each with whether it is enabled: all with an endpoint, and all with a wallet."""
    rows = await repository.listed(connection, enabled_only=True, page=Page(MAX_CHAINS, 0))
    enabled = {row["chain_id"]: chain_of(row) for row in rows}
    used = set(await accounts.chains_in_use(connection))
    found = [(chain, True) for chain in enabled.values() if chain.chain_id in used or context.chains.knows(chain)]
    others = [await load_chain(connection, chain_id) for chain_id in sorted(used - enabled.keys())]
    found += [(chain, False) for chain in others if chain is not None]
    return [(chain, is_enabled) for chain, is_enabled in found if is_asked(context, chain.chain_id)]


async def _nothing_known(context: Context, restore_id: UUID, chain: Chain) -> None:
    """A chain that is not in use any more and does not answer: of its wallets nothing is known from here on."""
    async with context.database.begin() as connection:
        named = {"restore_id": restore_id, "chain_id": chain.chain_id}
        await connection.execute(_NOT_ASKED, named)
        await connection.execute(_ALL_SAID, named)


async def _list_some(context: Context, restore_id: UUID, chain: Chain) -> int:
    """The next few wallets of a chain; returns how many there were."""
    named: dict[str, Any] = {"restore_id": restore_id, "chain_id": chain.chain_id}
    async with context.database.statements() as connection:
        wallets = list(await connection.execute(_WAITING, named | {"most": AT_ONCE}))
        ours = {bytes(each.address): await _ours(connection, chain, each) for each in wallets}
    sought = {}
    for each in wallets:
        # by the lowest word too: one that names far too many hides none of those that there are
        newest = {
            nonce for mined in (each.agreed, each.mined) for nonce in range(max(each.low, mined - MAX_NONCES), mined)
        }
        sought[bytes(each.address)] = Sought(bytes(each.address), newest - ours[bytes(each.address)].mined)
    await search(context, chain, sought)
    for each in wallets:
        address = bytes(each.address)
        await _keep(context, restore_id, chain, each, sought[address], ours[address])
    return len(wallets)


async def _ours(connection: AsyncConnection, chain: Chain, wallet: Any) -> _Ours:
    named = {"chain_id": chain.chain_id, "address": bytes(wallet.address), "most": MAX_OURS}
    rows = list(await connection.execute(_OURS, named | {"low": wallet.low, "high": max(wallet.high, wallet.low)}))
    return _Ours(
        {bytes(row.tx_hash): row.nonce for row in rows}, frozenset(row.nonce for row in rows if row.is_mined)
    )


async def _keep(context: Context, restore_id: UUID, chain: Chain, wallet: Any, sought: Sought, ours: _Ours) -> None:
    # found nowhere by its block: perhaps it is ours, and its receipt is to be had
    own = [tx_hash for tx_hash, nonce in ours.by_hash.items() if nonce in sought.missing]
    with_receipt: set[int] = set()
    for first in range(0, len(own), AT_ONCE):
        receipts = await has_receipt(context, chain, own[first : first + AT_ONCE])
        with_receipt |= {ours.by_hash[each] for each in receipts}
    # what waits in a pool at a nonce of ours is ours only if it has our bytes: the lost part may have used the nonce
    pending = [tx_hash for tx_hash, nonce in ours.by_hash.items() if nonce >= wallet.mined]
    waiting = {ours.by_hash[each] for each in await known_to_a_node(context, chain, pending)}
    known = {*sought.found, *ours.mined, *with_receipt, *waiting}
    unknown: list[tuple[int, int | None]] = list(gaps(wallet.low, wallet.high, known))
    if wallet.high == wallet.low:
        unknown = [(wallet.low, None)]
    new = [sent for _, sent in sorted(sought.found.items()) if sent.tx_hash not in ours.by_hash]
    async with context.database.begin() as connection:
        await keep(connection, restore_id, chain, sought.address, new, unknown, sought.calls)
