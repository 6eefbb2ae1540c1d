"""Does size matter? The same requests on a large and on an almost empty instance, in turns; figures are ratios.

CPU is that of the API, the signer and PostgreSQL's backends together; buffers are all blocks that PostgreSQL was
asked for, less what it is asked for in the same time when nobody calls.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from talon.instance import Instance, temporary_instance

LARGE = (100_000, 1_000_000)
# enough for a full page of each list; of fewer rows PostgreSQL reads the whole table instead of an index
SMALL = (200, 2_000)
PAIRS = 20
# of each pair; short, so that whatever else the machine does slows both sides down
TURNS = 6
TURN = 10
# enough for every connection of the pool
FLUSH = 15
# PostgreSQL's backends tell their counters at most once a second
STATISTICS_LAG_S = 1.2

_SECRETS = """
    INSERT INTO secrets (id, vault_id, path, latest_version, newest)
    SELECT gen_random_uuid(), %(vault)s, 'app/' || lpad(n::text, 6, '0') || '/token', 1,
           '{"type": "api_key", "version": 1, "metadata": {}, "created_at": "2026-01-01T00:00:00+00:00",
             "expires_at": null, "address": null, "cmek": false}'
    FROM generate_series(1, %(count)s) n
"""
_VERSIONS = """
    INSERT INTO secret_versions (secret_id, version, type, sealed, exportable, metadata, access_count, created_by,
                                 created_by_type)
    SELECT id, 1, 'api_key', decode(repeat('00', 160), 'hex'), false, '{}', 0, %(user)s, 'user'
    FROM secrets WHERE vault_id = %(vault)s AND path LIKE 'app/%%'
"""
# fifty actors and ten actions, so that a filter matches a part
_EVENTS = """
    INSERT INTO audit_events (id, org_id, actor_type, actor_id, action, resource_type, resource_id, details,
                              created_at)
    SELECT gen_random_uuid(), %(org)s, 'agent', 'actor-' || n %% 50, (ARRAY['secret.read', 'secret.write',
           'policy.create', 'auth.success', 'auth.failure', 'agent.update', 'vault.create', 'secret.delete',
           'transaction.submit', 'transaction.simulate'])[1 + n %% 10], 'secret', 'thing-' || n %% 1000, '{}',
           now() - interval '1 second' * (%(count)s - n)
    FROM generate_series(1, %(count)s) n
"""
# the sequencer may have sealed some already
_UNSEALED = """
    CREATE TEMPORARY TABLE unsealed AS SELECT org_id, sequence, id FROM audit_events e
    WHERE org_id = %(org)s AND NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.event_id = e.id)
      AND NOT EXISTS (SELECT 1 FROM audit_pending p WHERE p.event_id = e.id)
"""
# a statement of its own, as the sequencer's is: a hash index cannot grow under a scan of the same statement
_SEALS = """
    INSERT INTO audit_seals (org_id, position, event_id, integrity_hash)
    SELECT org_id, (SELECT coalesce(max(position), 0) FROM audit_seals WHERE org_id = %(org)s)
                   + row_number() OVER (ORDER BY sequence), id, repeat('0', 64)
    FROM unsealed
"""
# everything that the database was asked for, whoever asked
_BLOCKS = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True)
class Cost:
    """What one request cost on average: seconds of wall time and of CPU, blocks touched."""

    wall: float
    cpu: float
    buffers: float


class Side:
    """One of the two instances, filled, with everything the measured requests name."""

    def __init__(self, instance: Instance, http: httpx.Client, database: psycopg.Connection[Any]) -> None:
        self.instance, self.http, self.database = instance, http, database

    def fill(self, secrets: int, events: int) -> None:
        """A vault with so many secrets (one of them real, in the middle) and so many audit rows."""
        login = {"email": self.instance.admin_email, "password": self.instance.admin_password}
        self.http.headers["Authorization"] = f"Bearer {self._do('POST', '/v1/auth/token', login)['access_token']}"
        key = self._do("POST", "/v1/auth/api-keys", {"name": "bench"})["api_key"]
        self.http.headers["Authorization"] = f"Bearer {key}"
        me = self._do("GET", "/v1/auth/me")
        vault = self._do("POST", "/v1/vaults", {"name": "scale"})["id"]
        agent = self._do("POST", "/v1/agents", {"name": "scale"})["agent"]["id"]
        grant = {"principal_type": "agent", "principal_id": agent, "permissions": ["read"]}
        self._do("POST", f"/v1/vaults/{vault}/policies", {**grant, "secret_path_pattern": "app/*/token"})
        names = {"vault": vault, "user": me["id"], "org": me["org_id"]}
        self.database.execute(_SECRETS, {**names, "count": secrets})
        self.database.execute(_VERSIONS, names)
        self.database.execute(_EVENTS, {**names, "count": events})
        self.database.execute(_UNSEALED, names)
        self.database.execute(_SEALS, names)
        self.path = f"app/{secrets // 2:06}/token"
        self._do("PUT", f"/v1/vaults/{vault}/secrets/{self.path}", {"value": "real", "type": "api_key"})
        self.database.execute("VACUUM (ANALYZE)")
        question = f"principal_type=agent&principal_id={agent}&path={self.path}&permission=read"
        self.requests = {
            "read": f"/v1/vaults/{vault}/secrets/{self.path}",
            "list page": f"/v1/vaults/{vault}/secrets?limit=100&prefix={self.path[:8]}",
            "audit page": "/v1/audit/events?limit=20&action=secret.read&actor_id=actor-0",
            "policy decision": f"/v1/vaults/{vault}/access?{question}",
        }

    def send(self, path: str, count: int) -> None:
        """So many requests, one after the other."""
        for _ in range(count):
            answer = self.http.get(path)
            if answer.status_code != 200:
                raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")

    def pids(self) -> list[int]:
        """The processes whose CPU counts."""
        backends = self.database.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [*self.instance.pids("api"), *self.instance.pids("signer"), *(row[0] for row in backends)]

    def blocks(self) -> int:
        """All blocks that PostgreSQL was asked for until now."""
        row = self.database.execute(_BLOCKS).fetchone()
        assert row is not None
        return int(row[0])

    def _do(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


class Meter:
    """What one side's requests of a kind cost, over a pair."""

    def __init__(self, side: Side, name: str) -> None:
        self._side, self._path = side, side.requests[name]
        self._wall = self._cpu = 0.0
        self._blocks, self._at = side.blocks(), time.perf_counter()
        self._idle_per_s = 0.0

    def start(self) -> None:
        """Nobody called since it was made: what PostgreSQL was asked for meanwhile is not the requests' doing."""
        self._idle_per_s = (self._side.blocks() - self._blocks) / (time.perf_counter() - self._at)
        # what backends have not told yet is told before, and again afterwards
        self._side.send(self._path, FLUSH)
        self._pids = self._side.pids()
        self._blocks, self._at = self._side.blocks(), time.perf_counter()

    def turn(self) -> None:
        """Send some requests."""
        cpu, began = sum(map(_cpu_of, self._pids)), time.perf_counter()
        self._side.send(self._path, TURN)
        self._wall += time.perf_counter() - began
        self._cpu += sum(map(_cpu_of, self._pids)) - cpu

    def cost(self) -> Cost:
        """The averages."""
        self._side.send(self._path, FLUSH)
        blocks = self._side.blocks() - self._blocks - self._idle_per_s * (time.perf_counter() - self._at)
        count = TURNS * TURN
        return Cost(self._wall / count, self._cpu / count, blocks / (count + FLUSH))


def compare(large: Side, small: Side, name: str) -> tuple[Cost, Cost]:
    """One pair of measurements, taken in turns."""
    meters = [Meter(large, name), Meter(small, name)]
    time.sleep(STATISTICS_LAG_S)
    for meter in meters:
        meter.start()
    for number in range(TURNS):
        for meter in meters if number % 2 else reversed(meters):
            meter.turn()
    time.sleep(STATISTICS_LAG_S)
    return meters[0].cost(), meters[1].cost()


def measure(say: Callable[[str], None]) -> list[dict[str, Any]]:
    """One line per kind of request: large over small in CPU, buffers and wall time; medians over all pairs."""
    with _side() as small, _side() as large:
        say(f"filling: {LARGE[0]:,} secrets and {LARGE[1]:,} audit rows (about a minute)")
        small.fill(*SMALL)
        large.fill(*LARGE)
        lines = []
        for name in large.requests:
            say(f"measuring: {name}")
            compare(large, small, name)
            pairs = [compare(large, small, name) for _ in range(PAIRS)]
            lines.append(
                {
                    "measure": "size",
                    "request": name,
                    "secrets": LARGE[0],
                    "audit_rows": LARGE[1],
                    "pairs": PAIRS,
                    "cpu_ratio": _ratio([(big.cpu, little.cpu) for big, little in pairs]),
                    "buffers_ratio": _ratio([(big.buffers, little.buffers) for big, little in pairs]),
                    "wall_ratio": _ratio([(big.wall, little.wall) for big, little in pairs]),
                }
            )
    return lines


@contextmanager
def _side() -> Iterator[Side]:
    quiet = {"TALON_RATE_LIMIT_IP": "off", "TALON_RATE_LIMIT_AUTH": "off", "TALON_ANVIL_PORT": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="talon-bench-") as home,
        temporary_instance(Path(home), quiet) as instance,
        httpx.Client(base_url=instance.base_url, timeout=30) as http,
        psycopg.connect(instance.owner_dsn, autocommit=True) as database,
    ):
        yield Side(instance, http, database)


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return round(statistics.median(big / little for big, little in pairs), 2)


def _cpu_of(pid: int) -> float:
    """Seconds on a CPU, of all threads of a process; 0 for one that has ended."""
    try:
        threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        return 0.0
    return sum(int(line.split()[0]) for line in threads) / 1e9
