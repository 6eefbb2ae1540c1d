"""The embedded PostgreSQL as one of the supervised processes."""

import signal
import subprocess
import time

from talon.asking import Questions, postgres_answers
from talon.postgres import PORT, EmbeddedPostgres, PostgresError
from talon.processes import Part


class PostgresPart(Part):
    """A server that runs already; started again it waits for nothing, and whoever needs it asks for it."""

    bound_s = 30.0
    # it ends its own processes with it, the stopped ones too, and recovers from its log at the next start
    soft_signal = signal.SIGQUIT

    def __init__(self, server: EmbeddedPostgres) -> None:
        super().__init__("postgres", server.log_file)
        self._server = server
        self.process = server.process
        self.started_at = time.monotonic()
        self._questions = Questions(self.name, lambda: postgres_answers(server.socket_dir, PORT))
        self._questions.begin()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        try:
            process = self._server.restart()
        except PostgresError as error:
            raise OSError(str(error)) from error
        self._questions.begin()
        return process

    def seen_at(self) -> float | None:
        """When it last answered since its start."""
        at = self._questions.answered_at
        return at if at is not None and at >= self.started_at else None

    def lasting(self, status: int) -> bool:
        """It has worked: whatever ends it now may pass."""
        return False
