"""Who may undo what put something out of reach: for some days those whose it is, after that the administrator."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from vault.audit.write import write_in
from vault.auth.caller import Caller
from vault.clock.now import BELIEVED_NOW
from vault.context import Context
from vault.errors import forbidden, not_found

_SELECT: Final = text(
    f"""
    SELECT v.org_id, v.deleted_at, {BELIEVED_NOW} AS now,
           NOT EXISTS (SELECT FROM memberships m WHERE m.org_id = v.org_id) AS is_left
    FROM vaults v WHERE v.id = :vault_id
    """  # noqa: S608 - made of a constant
)


@dataclass(frozen=True)
class Undoer:
    """A caller in front of a vault, live or deleted, in which something is to be undone.

    `is_left`: nobody belongs to the vault's organisation any more. `days`: how long it may be undone by its people.
    """

    caller: Caller
    org_id: UUID
    is_left: bool
    now: datetime
    days: int

    @property
    def manages(self) -> bool:
        """Whether the caller is an owner or admin of the organisation; having made the vault does not count."""
        return self.caller.org_id == self.org_id and self.caller.is_org_admin

    def administers(self, done_at: datetime | None) -> bool:
        """Whether what was done then is the platform administrator's to undo, and the caller is that."""
        is_admin = self.caller.is_platform_admin and self.caller.scopes is None
        return is_admin and (self._is_late(done_at) or self.is_left)

    def _is_late(self, done_at: datetime | None) -> bool:
        return done_at is not None and done_at + timedelta(days=self.days) <= self.now

    def require_eligible(self) -> None:
        """Raise 404 or 403 for whoever may not undo anything here, whatever was done by whom."""
        caller = self.caller
        if caller.org_id != self.org_id and not (caller.is_platform_admin and caller.scopes is None):
            raise not_found("Vault not found")
        if caller.is_agent:
            raise forbidden("Only a human may undo this; agents have no access")
        if caller.scopes is not None:
            raise forbidden("This API key is limited to some paths and may not undo this")

    def require(self, done_at: datetime | None = None, done_by: UUID | None = None) -> None:
        """Raise 403 (404 for another organisation's people) unless the caller may undo what was done then, by whom.

        Without `done_at` there is nothing to undo, which only who manages the vault may know.
        """
        if self.administers(done_at):
            return
        if self.caller.org_id != self.org_id:
            raise not_found("Vault not found")
        if not self.manages and (done_by is None or done_by != self.caller.id):
            raise forbidden("Only whoever did it, or an owner or admin of the organisation, may undo this")
        if self._is_late(done_at):
            raise forbidden(f"This was done more than {self.days} days ago: the platform's administrator can undo it")

    async def write(
        self, transaction: AsyncConnection, action: str, kind: str, resource_id: UUID, **details: object
    ) -> None:
        """The audit row, in the vault's organisation and in the caller's own."""
        await write_in(transaction, self.caller, self.org_id, action, kind, resource_id, **details)


async def load_undoer(
    transaction: AsyncConnection, context: Context, caller: Caller, vault_id: UUID, *, of_deleted: bool = False
) -> Undoer:
    """The caller in front of a live vault, or of one in whatever state; 404 when there is none, 403 as may be.

    Call it before the first lock, too: who may undo nothing here is not to hold anybody up.
    """
    row = (await transaction.execute(_SELECT, {"vault_id": vault_id})).one_or_none()
    if row is None or (row.deleted_at is not None and not of_deleted):
        raise not_found("Vault not found")
    undoer = Undoer(
        caller=caller,
        org_id=row.org_id,
        is_left=row.is_left,
        now=row.now,
        days=context.options.undo_days,
    )
    undoer.require_eligible()
    return undoer
