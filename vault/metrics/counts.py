"""What this process counts as it goes; together with its siblings' counts it is answered by any of them.

No organisation, person, agent or path ever is a label: labels are routes, rules and outcomes, of which there are few.
"""

import logging
import os
from functools import cache
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, values
from prometheus_client.multiprocess import MultiProcessCollector

log = logging.getLogger(__name__)

DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Denier = Literal["guardrail", "simulation", "policy", "rate_limit", "ip_rule", "freeze", "restore", "wallet"]


class Counts:
    """The counters of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        own = self.registry = CollectorRegistry()
        self.requests = Counter(
            "talon_http_requests", "Requests answered.", ("method", "route", "status"), registry=own
        )
        self.seconds = Histogram(
            "talon_http_request_seconds",
            "How long requests took.",
            ("method", "route"),
            buckets=DURATIONS_S,
            registry=own,
        )
        self.denials = Counter(
            "talon_denials", "What was refused, and which rule said so.", ("by", "rule"), registry=own
        )
        self.signatures = Counter("talon_signatures", "Transactions signed in the HSM.", ("kind",), registry=own)
        self.storage_losses = Counter(
            "talon_rate_limit_storage_losses",
            "How often a process had to count its rate limits by itself.",
            registry=own,
        )


@cache
def _counts() -> Counts:
    return Counts()


_shared_in: Path | None = None

# more than all routes, methods and outcomes together need, by the library's names of its files
ROOM_BYTES = {"counter": 2**20, "histogram": 4 * 2**20}


def share(directory: Path, name: str) -> None:
    """Keep this process's counts in `directory`, beside its siblings'; call it before anything is counted.

    Under its name instead of its process id: started again, it goes on with the same file, so there are never more
    files than processes, and no count is lost with a process. Where the disk has no room it counts for itself.
    """
    global _shared_in  # noqa: PLW0603 - as global as the library's own choice
    try:
        for kind, size in ROOM_BYTES.items():
            with (directory / f"{kind}_{name}.db").open("ab") as file:
                # whoever writes into a hole of a mapped file while the disk is full dies of it (SIGBUS)
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        log.warning("metrics are not shared: %s", error.strerror)
        return
    # the library's way of being told
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: name)  # type: ignore[no-untyped-call]
    _shared_in = directory


def registry() -> CollectorRegistry:
    """All counts, of every process that shares them."""
    if _shared_in is None:
        return _counts().registry
    together = CollectorRegistry()
    MultiProcessCollector(together, path=str(_shared_in))  # type: ignore[no-untyped-call]
    return together


def request(method: str, route: str, status: int, seconds: float) -> None:
    """A request was answered."""
    _counts().requests.labels(method, route, str(status)).inc()
    _counts().seconds.labels(method, route).observe(seconds)


def denied(by: Denier, rule: str) -> None:
    """Something was refused; `rule` is a name from our own code."""
    _counts().denials.labels(by, rule).inc()


def signed(kind: str) -> None:
    """The HSM signed a transaction: `submit`, `sign_only` or `filler`."""
    _counts().signatures.labels(kind).inc()


def storage_lost() -> None:
    """The rate limits' storage stopped answering."""
    _counts().storage_losses.inc()
