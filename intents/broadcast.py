"""Send committed bytes to the chain, in nonce order per wallet, and write down what a node said of them.

A transport error means "unknown", never "failed": the same bytes are sent again later, by the worker if not here.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from chains.rpc import ChainClient, SendOutcome, SendResult
from chains.send_errors import is_for_good
from intents.status import Status
from vault.db import Database

log = logging.getLogger(__name__)

Wallet = tuple[int, bytes]
ANSWER_WITHIN_S = 5.0
TAKEN = (SendOutcome.ACCEPTED, SendOutcome.ALREADY_KNOWN)

_RECORD = text("""
    WITH tried AS (
        UPDATE attempts SET tried_at = clock_timestamp(),
               sent_at = CASE WHEN :taken THEN clock_timestamp() ELSE sent_at END
        WHERE id = :attempt_id
    )
    UPDATE transactions
       SET status = CASE WHEN :taken AND status = :signed THEN :broadcast ELSE status END,
           -- what was given up meanwhile says so
           error_message = CASE WHEN given_up_at IS NULL AND chain_reset_at IS NULL THEN :message
                                ELSE error_message END
     WHERE id = :transaction_id AND status IN (:signed, :broadcast)
""")

_RECORD_SENT = text("""
    UPDATE attempts SET tried_at = clock_timestamp(),
           sent_at = CASE WHEN :taken THEN clock_timestamp() ELSE sent_at END
    WHERE id = :attempt_id
""")


@dataclass
class _Line:
    waiting: deque[tuple[ChainClient, bytes, asyncio.Future[SendResult]]] = field(default_factory=deque)
    runner: asyncio.Task[None] | None = None


class Broadcaster:
    """One line per wallet: what was committed first is sent first."""

    def __init__(self) -> None:
        self._lines: dict[Wallet, _Line] = {}

    def enqueue(self, client: ChainClient, wallet: Wallet, raw: bytes) -> "asyncio.Future[SendResult]":
        """Queue bytes behind those of the same wallet; call it in nonce order. The future never raises."""
        line = self._lines.setdefault(wallet, _Line())
        future: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
        line.waiting.append((client, raw, future))
        if line.runner is None:
            line.runner = asyncio.create_task(self._run(wallet, line))
        return future

    async def _run(self, wallet: Wallet, line: _Line) -> None:
        try:
            while line.waiting:
                client, raw, future = line.waiting.popleft()
                result = NOT_SENT
                try:
                    result = await client.send_raw(raw)
                finally:
                    # whatever happened, nobody is left waiting: "unknown" is always true
                    settle(future, result)
                if result.outcome is SendOutcome.UNKNOWN:
                    # The chain does not answer now. Those behind would each wait for it in vain; the worker sends
                    # their bytes soon.
                    self._give_up(line)
        finally:
            self._give_up(line)
            self._lines.pop(wallet, None)

    @staticmethod
    def _give_up(line: _Line) -> None:
        while line.waiting:
            settle(line.waiting.popleft()[2], NOT_SENT)


NOT_SENT = SendResult(SendOutcome.UNKNOWN, "not sent yet")


def settle(future: "asyncio.Future[SendResult]", result: SendResult) -> None:
    """Give a waiting request its result, if it still waits."""
    if not future.done():
        future.set_result(result)


async def outcome_of(sending: "asyncio.Future[SendResult]") -> SendResult:
    """The result of a send, or "unknown" after `ANSWER_WITHIN_S`: what is committed is answered in time."""
    try:
        return await asyncio.wait_for(asyncio.shield(sending), ANSWER_WITHIN_S)
    except TimeoutError:
        return NOT_SENT


def explain(result: SendResult) -> str | None:
    """What to tell the agent about bytes that no node has taken yet; None when one has."""
    if result.outcome in TAKEN:
        return None
    if result.outcome is SendOutcome.REFUSED and is_for_good(result.message or ""):
        return (
            f"The node will never take the transaction as it is ({result.message}); it keeps its nonce until it is"
            " given up."
        )
    if result.outcome is SendOutcome.REFUSED:
        return f"The node refuses the transaction for now ({result.message}); it keeps its nonce and is retried."
    if result.outcome is SendOutcome.NONCE_TOO_LOW:
        return "The node says the nonce is used already; waiting for the chain to show by which transaction."
    said = f" ({result.message})" if result.message and result is not NOT_SENT else ""
    return f"No node has confirmed the transaction yet{said}; it is sent again until the chain answers."


async def record(database: Database, transaction_id: UUID, attempt_id: UUID, result: SendResult) -> None:
    """Write down an attempt's outcome: `signed` becomes `broadcast` once a node took it, never the other way."""
    async with database.statements() as connection:
        await connection.execute(
            _RECORD,
            {
                "attempt_id": attempt_id,
                "transaction_id": transaction_id,
                "taken": result.outcome in TAKEN,
                "message": explain(result),
                "signed": Status.SIGNED.value,
                "broadcast": Status.BROADCAST.value,
            },
        )


async def record_sent(database: Database, attempt_id: UUID, result: SendResult) -> None:
    """Write down an attempt's outcome when it changes nothing about its transaction (a filler's)."""
    async with database.statements() as connection:
        await connection.execute(_RECORD_SENT, {"attempt_id": attempt_id, "taken": result.outcome in TAKEN})
