"""List what a caller may read, at the cost of the page and not of the vault."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from vault.auth.caller import Caller
from vault.context import Context
from vault.errors import forbidden
from vault.policies.access import Access, load_access
from vault.policies.decide import is_live
from vault.schemas import Page
from vault.secrets import ranges, repository
from vault.secrets.ranges import Ranges
from vault.secrets.repository import Row
from vault.secrets.schemas import SecretMetadataResponse
from vault.secrets.shown import listed_of

SCAN_BATCH = 1000


async def list_secrets(
    context: Context, caller: Caller, vault_id: UUID, *, prefix: str, page: Page
) -> list[SecretMetadataResponse]:
    """A page, by path, of what the caller may read; 403 for somebody to whom nothing in the vault is granted."""
    async with context.database.begin() as transaction:
        access = await load_access(transaction, caller, vault_id)
        access.require_bound()
        if not (access.created_it or access.has_grant):
            raise forbidden("No policy grants you access to this vault")
        within = ranges.both(readable(access), ranges.of_prefix(prefix))
        rows = await _page(transaction, access, within, page)
    return [SecretMetadataResponse(**listed_of(row)) for row in rows]


def readable(access: Access) -> Ranges:
    """The stretches of the vault outside of which the caller can read nothing now."""
    caller, vault = access.caller, access.vault
    if access.created_it:
        granted = ranges.of_prefix("")
    else:
        granted = ranges.of_patterns(
            grant.pattern
            for grant in access.grants
            if "read" in grant.permissions and is_live(grant, caller, vault, access.now)
        )
    return granted if caller.scopes is None else ranges.both(granted, ranges.of_patterns(caller.scopes))


async def _page(transaction: AsyncConnection, access: Access, within: Ranges, page: Page) -> Sequence[Row]:
    """The page's rows: as the index has them where every path in the ranges may be read, else one by one."""
    vault_id = access.vault.id
    if within.exact:
        return await repository.listed(transaction, vault_id, within.items, limit=page.limit, offset=page.offset)
    chosen = await _walk(transaction, access, within, page)
    return await repository.listed_at(transaction, vault_id, chosen) if chosen else []


async def _walk(transaction: AsyncConnection, access: Access, within: Ranges, page: Page) -> list[str]:
    """The paths of a page, decided one by one in bounded batches."""
    chosen: list[str] = []
    after, skipped = "", 0
    # ends: every batch begins behind the last path of the one before
    while True:
        batch = await repository.listed(
            transaction, access.vault.id, within.items, after=after, limit=SCAN_BATCH, in_full=False
        )
        for row in batch:
            if not access.may(row["path"], "read"):
                continue
            if skipped < page.offset:
                skipped += 1
                continue
            chosen.append(row["path"])
            if len(chosen) == page.limit:
                return chosen
        if len(batch) < SCAN_BATCH:
            return chosen
        after = batch[-1]["path"]
