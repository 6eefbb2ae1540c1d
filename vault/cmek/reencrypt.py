"""The work of a customer's key rotation, in the process that got both keys.

Every part is one transaction with its progress. Whoever finds the job in other hands stops, so two processes never
work on one; what was not finished when this process ends is found and done when the keys are sent again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.client import SignerClient
from signer.errors import SealBroken, SignerError
from vault.audit.write import write
from vault.cmek import blob, repository
from vault.cmek.keys import KeyPair
from vault.db import Database
from vault.problems import log_unexpected
from vault.secrets.context import seal_context
from vault.vaults import repository as vaults
from vault.vaults import sealed
from vault.vaults.sealed import Change, Place, Value

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
# requests at the signer at a time: whoever reads a secret meanwhile stands behind so many
AT_ONCE: Final = 4
# how long a database or signer may be away before the job is given up
TRIES: Final = 30
PAUSE_S: Final = 1.0
GIVE_UP_S: Final = 5.0


@dataclass(frozen=True)
class Job:
    """Which job this is, and under which name this process holds it."""

    id: UUID
    vault_id: UUID
    org_id: UUID
    holder: UUID


class Lost(Exception):  # noqa: N818 - reads as what it says
    """The job is somebody else's by now, or was ended."""


async def reencrypt(database: Database, signer: SignerClient, job: Job, keys: KeyPair) -> None:
    """Do the whole job; what stops it leaves it interrupted."""
    work = _Work(database, signer, job, keys)
    try:
        # once more when something was in use or came meanwhile
        while not await work.finished(await work.once_through()):
            continue
    except Lost:
        return
    except asyncio.CancelledError:
        await _interrupt(database, job)
        raise
    except (SQLAlchemyError, OSError, SignerError) as error:
        log.warning("a rotation of a customer's key was interrupted: %s", type(error).__name__)
        await _interrupt(database, job)
    except Exception as error:  # noqa: BLE001 - nobody waits for this task: what ends it must be said here
        log_unexpected(error, "cmek-rotate")
        await _interrupt(database, job)


class _Work:
    def __init__(self, database: Database, signer: SignerClient, job: Job, keys: KeyPair) -> None:
        self._database, self._signer, self._job, self._keys = database, signer, job, keys
        self._old = {"fingerprint": keys.old.fingerprint}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def once_through(self) -> int:
        """Go through all values that still are under the old key; returns how many could not be moved."""
        after, failed = Place(), 0
        while values := await _steadily(self._part, after):
            changes = await _steadily(self._converted, values)
            failed += len(values) - len(changes)
            await _steadily(self._store, changes, failed)
            after = values[-1].place
        return failed

    async def finished(self, failed: int) -> bool:
        """End the job when nothing is left under the old key but what cannot be moved."""
        return await _steadily(self._finish, failed)

    async def _part(self, after: Place) -> list[Value]:
        async with self._database.begin() as transaction:
            return await sealed.part(transaction, self._job.vault_id, sealed.OF_FINGERPRINT, self._old, after)

    async def _converted(self, values: list[Value]) -> list[Change]:
        done = await asyncio.gather(*(self._convert(value) for value in values))
        return [change for change in done if change is not None]

    async def _convert(self, value: Value) -> Change | None:
        context = seal_context(self._job.vault_id, value.path, value.version)
        new = self._keys.new
        async with self._slots:
            try:
                written = await self._signer.open(self._job.vault_id, context, value.sealed)
            except SealBroken:
                return None
            plaintext = blob.decrypt(self._keys.old.cipher, written)
            if plaintext is not None:
                again = blob.encrypt(new.cipher, plaintext)
                return Change(value, await self._signer.seal(self._job.vault_id, context, again), new.fingerprint)
        # the client has gone over to its new key already
        if blob.decrypt(new.cipher, written) is not None:
            return Change(value, value.sealed, new.fingerprint)
        return None

    async def _store(self, changes: list[Change], failed: int) -> None:
        async with self._database.begin() as transaction:
            if not await repository.hold(transaction, self._job.id, self._job.holder):
                raise Lost
            processed = await sealed.replace(transaction, changes)
            await repository.advance(transaction, self._job.id, processed=processed, failed=failed)

    async def _finish(self, failed: int) -> bool:
        job = self._job
        # a sign of life: the lock below may take its time
        await self._store([], failed)
        async with self._database.begin() as transaction:
            # whoever is writing holds the vault's row until it commits, and with it the old key's name
            vault = await vaults.lock(transaction, job.vault_id)
            if not await repository.hold(transaction, job.id, job.holder):
                raise Lost
            if vault is None or vault["cmek_fingerprint"] != self._keys.old.fingerprint:
                await self._end(transaction, "failed", "The vault, or its key, has changed meanwhile")
                return True
            if await sealed.count(transaction, job.vault_id, sealed.OF_FINGERPRINT, self._old) != failed:
                return False
            await vaults.set_fingerprint(transaction, job.vault_id, self._keys.new.fingerprint)
            error = f"{failed} value(s) could not be decrypted and stay under the old key" if failed else None
            await self._end(transaction, "completed", error)
        return True

    async def _end(
        self, transaction: AsyncConnection, status: Literal["completed", "failed"], error: str | None
    ) -> None:
        row = await repository.finish(transaction, self._job.id, status, error)
        await write(
            transaction,
            org_id=self._job.org_id,
            actor_type="system",
            actor_id="api",
            action="vault.rotate_cmek_complete" if status == "completed" else "vault.rotate_cmek_failed",
            resource_type="vault",
            resource_id=self._job.vault_id,
            details={
                "job_id": str(self._job.id),
                "processed": row["processed"],
                "failed": row["failed"],
                "started_by": str(row["created_by"]),
            },
        )


async def _steadily(step: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Repeat a step while the database or the signer is away, for about half a minute."""
    for _ in range(TRIES - 1):
        try:
            return await step(*args, **kwargs)
        except (SQLAlchemyError, OSError, SignerError) as error:
            log.warning("a rotation of a customer's key waits: %s", type(error).__name__)
            await asyncio.sleep(PAUSE_S)
    return await step(*args, **kwargs)


async def _interrupt(database: Database, job: Job) -> None:
    # if this does not get through either, the job's silence says it
    try:
        async with asyncio.timeout(GIVE_UP_S), database.begin() as transaction:
            await repository.interrupt(transaction, job.id, job.holder)
    except (SQLAlchemyError, OSError) as error:
        log.warning("the interruption could not be noted: %s", type(error).__name__)
