"""Whether a worker leads, seen from any process: its lock in PostgreSQL is held by a connection that keeps asking.

Nothing is written for it: PostgreSQL itself notes whose the lock is, and when that connection last did something.
Times in seconds.
"""

import time
from collections.abc import Callable

from sqlalchemy import text

# any fixed number: names the right to work among the workers of one database
LEADER_LOCK = 7_214_001
# a worker that is started again takes a few seconds; whoever is silent for longer does not work
SILENT_S = 10.0
NEVER = float("-inf")

# pg_locks shows an advisory lock of one number as (0, the number, 1); a role is shown its own connections whole
LOOK = text(f"""
    SELECT current_setting('transaction_read_only')::boolean AS read_only, leader.beat, leader.age_s
    FROM (SELECT 1) AS always LEFT JOIN (
        SELECT concat(activity.pid, ' ', activity.state_change) AS beat,
               extract(epoch FROM clock_timestamp() - activity.state_change)::float8 AS age_s
        FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
        WHERE held.locktype = 'advisory' AND held.classid = 0 AND held.objid = {LEADER_LOCK} AND held.objsubid = 1
          AND held.granted AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        LIMIT 1
    ) AS leader ON true
""")  # noqa: S608 - made of a constant


class Heartbeat:
    """What one process has seen of the leader.

    A beat of another moment than the one before is a sign of life, whatever the database's clock says: it may have
    been stepped while the worker was well. Its age by that clock counts where nobody looked for a while.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last_beat: str | None = None
        self._looked_at = self._seen_at = NEVER

    def look(self, beat: str | None, age_s: float | None) -> None:
        """Note a look: `beat` names connection and moment (None: nobody holds the lock), `age_s` by the database."""
        now = self._now()
        if beat is not None and age_s is None:
            # a server that keeps no record of activity: the lock is all there is to see
            self._seen_at = now
        elif beat is not None and age_s is not None:
            if 0 <= age_s <= SILENT_S:
                self._seen_at = max(self._seen_at, now - age_s)
            elif beat != self._last_beat and now - self._looked_at < SILENT_S:
                self._seen_at = now
        self._last_beat, self._looked_at = beat, now

    @property
    def age_s(self) -> float | None:
        """How long ago the leader last gave a sign of life; None when none was seen ever."""
        return None if self._seen_at == NEVER else self._now() - self._seen_at
