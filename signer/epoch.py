"""How far this instance has come: counted on in the database while anything is signed, then in token and file.

The database first: a crash between two of them leaves the database ahead, which means nothing. A database that is
behind one of them is an older copy (`vault.restores`); a signer that finds that out does not serve, because the
supervisor, started again, asks both before anything can be signed.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final
from uuid import UUID

from signer import epoch_file, epoch_token
from signer.errors import SignerError
from signer.hsm import Hsm, HsmFault
from signer.store import Store

log = logging.getLogger(__name__)

# while anything is signed, this often
EVERY_S: Final = 60.0


class OlderDatabase(Exception):  # noqa: N818 - reads as what it says
    """The database is behind a copy of its own epoch: it was put back while nobody looked."""


class Epoch:
    """Counts on behind signatures. `signed` is set by whoever signs; an idle signer does nothing here."""

    def __init__(self, hsm: Hsm, store: Store, file: Path | None) -> None:
        self._hsm, self._store, self._file = hsm, store, file
        self._in_token = True
        self.signed = asyncio.Event()

    async def open(self) -> None:
        """Bring the copies up to the database; OlderDatabase when one of them is ahead of it."""
        found = await self._store.epoch()
        if found is None:
            return
        instance_id, outside = found[0], self._outside(found[0])
        # of several signers another may have counted on between our two questions
        found = await self._store.epoch()
        if found is None or found[0] != instance_id or outside > found[1]:
            raise OlderDatabase(
                f"the database is older than what was signed (epoch {found and found[1]} there, {outside} outside)"
            )
        self._carry(*found)

    async def count_on(self) -> None:
        """Until cancelled: at a signature, and again a minute later while there are more."""
        while True:
            await self.signed.wait()
            self.signed.clear()
            try:
                found = await self._store.raise_epoch()
            except SignerError as error:
                log.warning("the epoch was not counted on: %s", error)
            else:
                if found is not None:
                    self._carry(*found)
            await asyncio.sleep(EVERY_S)

    def _outside(self, instance_id: UUID) -> int:
        """The latest copy; 0 where there is none."""
        in_file = None if self._file is None else epoch_file.read(self._file, instance_id)
        try:
            in_token = epoch_token.read(self._hsm.session).get(instance_id)
        except HsmFault as error:
            self._without_token(error)
            in_token = None
        return max(in_file or 0, in_token or 0)

    def _carry(self, instance_id: UUID, epoch: int) -> None:
        if self._in_token:
            try:
                epoch_token.raise_to(self._hsm.session, instance_id, epoch)
            except HsmFault as error:
                self._without_token(error)
        if self._file is not None:
            try:
                epoch_file.raise_to(self._file, instance_id, epoch)
            except OSError as error:
                log.warning("the epoch was not written outside the home: %s", error.strerror)

    def _without_token(self, error: Exception) -> None:
        # a session that was lost is found out by whoever signs
        self._in_token = False
        log.warning("the HSM keeps no copy of the epoch (%s)", type(error).__name__)
