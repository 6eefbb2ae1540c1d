"""Gauges of the instance itself: whether it can do its main job, its worker, its processes, its disk."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from vault.health.service import State


def instance_gauges(state: State) -> Iterator[Metric]:
    """What /v1/health found, and what the supervisor says (nothing where nobody supervises)."""
    yield gauge("talon_healthy", "Whether the main job can be done, as /v1/health has it.", state.healthy)
    yield gauge("talon_worker_up", "Whether a worker is at work.", state.worker)
    if state.worker_age_s is not None:
        yield gauge("talon_worker_age_seconds", "How long ago it gave a sign of life.", state.worker_age_s)
    host = state.host
    if host is None:
        return
    yield gauge("talon_supervisor_up", "Whether the supervisor gives signs of life.", not host.silent)
    restarts = CounterMetricFamily("talon_restarts", "How often a process was started again.", labels=("process",))
    for name, times in host.restarts.items():
        restarts.add_metric((name,), times)
    yield restarts
    if host.disk_free is not None and host.disk_size is not None:
        yield gauge("talon_disk_free_bytes", "Free in the home's file system.", host.disk_free)
        yield gauge("talon_disk_size_bytes", "Size of the home's file system.", host.disk_size)


def gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return GaugeMetricFamily(name, what, value=float(value))
