"""Ask the parts how they are. Anybody may call this, so the answer is shared and at most a second old."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from signer.client import SignerHealth
from signer.errors import SignerError
from signer.refusals import READ_ONLY
from vault.columns import AnyRow
from vault.context import Context
from vault.health.heartbeat import LOOK, SILENT_S, Heartbeat
from vault.health.host import Host
from vault.health.notes import read_notes
from vault.health.room import Room
from vault.soon import soon

MAX_AGE_S = 1.0
SUPERVISOR_SILENT = "The supervisor gives no sign of life: what ends is not started again."
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class State:
    """What was found: does the database answer, why does it take no writes (None: it does), what says the signer
    (None: it does not answer), how long ago did the worker give a sign of life (seconds; None: not yet)."""

    database: bool
    signer: SignerHealth | None
    worker_age_s: float | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()
    host: Host | None = None
    taken_at: float = field(default_factory=time.monotonic)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the instance cannot do its main job; nothing while it can."""
        return tuple(_reasons(self))

    @property
    def worker(self) -> bool:
        """Whether a worker is at work."""
        return self.worker_age_s is not None and self.worker_age_s <= SILENT_S

    @property
    def healthy(self) -> bool:
        """Whether everything that the main job needs is there."""
        return not self.reasons


def _reasons(state: State) -> Iterator[str]:
    if state.refused is not None:
        yield f"{state.refused}."
    elif not state.database:
        yield "The database does not answer."
    if state.signer is None:
        yield "The signer does not answer."
    elif not state.signer.ok:
        yield "The HSM cannot be used."
    # without the database nothing is known of the worker, and it can do nothing either
    if state.database and not state.worker:
        yield "The worker is not at work: what is signed is not followed, and nothing is sealed or mailed."
    if state.host is not None and not state.host.silent:
        yield from state.host.reasons


class Probe:
    """One per application: asks at most once a second, however many callers wait."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = asyncio.Lock()
        self._heartbeat = Heartbeat()
        self._room = Room()
        self._last: State | None = None

    async def state(self) -> State:
        """The state, at most `MAX_AGE_S` seconds old; never waits longer than two timeouts."""
        async with self._turn:
            if self._last is None or time.monotonic() - self._last.taken_at > MAX_AGE_S:
                self._last = await self._look()
            return self._last

    async def _look(self) -> State:
        read_only, full, signer = await asyncio.gather(self._database(), self._full(), self._signer())
        notes = await self._notes() if read_only is not None else ()
        host = self._context.host.read()
        if host is not None:
            notes += (SUPERVISOR_SILENT,) if host.silent else host.notes
        refused = READ_ONLY if read_only else full
        return State(read_only is not None, signer, self._heartbeat.age_s, refused, notes, host)

    async def _database(self) -> bool | None:
        """Whether it takes reads only; None when it does not answer."""
        try:
            row = await soon(self._ask(), TIMEOUT_S)
        except (SQLAlchemyError, OSError, TimeoutError):
            return None
        self._heartbeat.look(row.beat, row.age_s)
        return bool(row.read_only)

    async def _full(self) -> str | None:
        """Why its tables cannot grow, as far as that is known."""
        try:
            return await soon(self._room.refused(self._context.database), TIMEOUT_S)
        except (SQLAlchemyError, OSError, TimeoutError):
            return None

    async def _ask(self) -> AnyRow:
        async with self._context.database.statements() as connection:
            return (await connection.execute(LOOK)).one()

    async def _notes(self) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await read_notes(self._context.database, self._context.health_notes)
        except TimeoutError:
            return ()

    async def _signer(self) -> SignerHealth | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._context.signer.health()
        except (SignerError, OSError, TimeoutError):
            return None


def probe_of(request: Request) -> Probe:
    """FastAPI dependency: the application's probe, made on first use."""
    state = request.app.state
    if not hasattr(state, "health_probe"):
        state.health_probe = Probe(request.app.state.context)
    return cast(Probe, state.health_probe)
