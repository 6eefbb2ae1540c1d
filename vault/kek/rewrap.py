"""The worker's part of a key rotation: every value of the vault from its older key to the newest.

Progress is committed with every part, so any worker goes on where one stopped, and two at once do no harm.
"""

import asyncio
import logging
import time
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.client import SignerClient
from signer.errors import SealBroken, SignerError, SignerUnavailable
from vault.audit.write import write
from vault.context import Context
from vault.kek import repository
from vault.kek.repository import Row
from vault.secrets.context import seal_context
from vault.vaults import sealed
from vault.vaults.sealed import Change, Place, Value

log = logging.getLogger(__name__)

# how long one turn of the worker may take, roughly; the next goes on where it ended
TURN_S: Final = 2.0
MAX_ROTATIONS: Final = 50
# whether a rotation is under way, in SQL
IS_DUE: Final = "EXISTS (SELECT FROM kek_rotations WHERE status = 'running')"


async def rewrap(context: Context) -> None:
    """Take all running rotations further, one part of each after the other."""
    deadline = time.monotonic() + TURN_S
    stuck: set[UUID] = set()
    while time.monotonic() < deadline:
        async with context.database.begin() as transaction:
            rows = await repository.all_running(transaction, MAX_ROTATIONS, stuck)
        if not rows:
            return
        for row in rows:
            try:
                await rewrap_part(context, row)
            except SignerUnavailable:
                raise
            except SignerError as error:
                # the others must not wait for what is wrong with this one
                log.warning("a key rotation is stuck: %s", type(error).__name__)
                stuck.add(row["id"])


async def rewrap_part(context: Context, row: Row) -> None:
    """Re-wrap the next part of one rotation, or end it."""
    vault_id, after = row["vault_id"], Place(row["cursor"], row["cursor_version"])
    older = {"key_version": row["key_version"]}
    async with context.database.begin() as transaction:
        values = await sealed.part(transaction, vault_id, sealed.UNDER_OLDER_KEY, older, after)
    if not values:
        await _end(context, row)
        return
    changes = await _rewrapped(context.signer, vault_id, values, row["key_version"])
    async with context.database.begin() as transaction:
        # another worker may have been faster with this very part
        if not await repository.hold(transaction, row):
            return
        processed = await sealed.replace(transaction, changes)
        await repository.advance(
            transaction, row, after=values[-1].place, processed=processed, failed=len(values) - len(changes)
        )


async def _rewrapped(signer: SignerClient, vault_id: UUID, values: list[Value], version: int) -> list[Change]:
    async def one(value: Value) -> Change | None:
        place = seal_context(vault_id, value.path, value.version)
        try:
            return Change(value, await signer.rewrap(vault_id, place, value.sealed, version))
        except SealBroken:
            return None

    done = await asyncio.gather(*(one(value) for value in values))
    return [change for change in done if change is not None]


async def _end(context: Context, row: Row) -> None:
    async with context.database.begin() as transaction:
        # a value may have been sealed before the new key was there: its writer holds the vault's row until it commits
        org_id = await _wait_for_writers(transaction, row["vault_id"])
        if not await repository.hold(transaction, row):
            return
        left = await sealed.count(
            transaction, row["vault_id"], sealed.UNDER_OLDER_KEY, {"key_version": row["key_version"]}
        )
        if left != row["failed"]:
            await repository.begin_again(transaction, row)
            return
        error = f"{left} value(s) could not be opened and stay under their older key" if left else None
        await repository.complete(transaction, row, error)
        await write(
            transaction,
            org_id=org_id,
            actor_type="system",
            actor_id="worker",
            action="vault.rotate_key_complete",
            resource_type="vault",
            resource_id=row["vault_id"],
            details={
                "key_version": row["key_version"],
                "processed": row["processed"],
                "failed": row["failed"],
                "started_by": str(row["created_by"]),
            },
        )


async def _wait_for_writers(transaction: AsyncConnection, vault_id: UUID) -> UUID:
    found = await transaction.execute(
        text("SELECT org_id FROM vaults WHERE id = :vault_id FOR NO KEY UPDATE"), {"vault_id": vault_id}
    )
    org_id: UUID = found.scalar_one()
    return org_id
