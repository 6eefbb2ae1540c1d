"""The page that Prometheus reads: the counts of all processes, and gauges of this moment."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from vault.health.service import State
from vault.metrics import counts
from vault.metrics.balances import Wallet
from vault.metrics.facts import Facts
from vault.metrics.instance import instance_gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WEI = 10**18


# told apart by identity, as the library wants it
@dataclass(frozen=True, eq=False)
class Moment(Collector):
    """Everything that is looked at rather than counted."""

    facts: Facts
    state: State
    balances: Mapping[Wallet, int]
    low_balance_wei: int
    version: str
    # chain id, place from 1, whether it answered the last time
    endpoints: Sequence[tuple[int, int, bool]] = ()

    def collect(self) -> Iterator[Metric]:
        """The gauges, as the library wants them."""
        yield gauge("talon_info", "The version that answers.", [((self.version,), 1)], ("version",))
        yield gauge("talon_database_up", "Whether PostgreSQL answers.", [((), self.state.database)])
        yield from instance_gauges(self.state)
        yield from self._signer()
        yield from self._queue("audit", "talon_audit_pending", "Audit rows not sealed yet")
        yield from self._queue("mail", "talon_mails_unsent", "Mails not sent yet")
        yield from self._clock()
        yield from self._waiting()
        yield from self._stuck()
        yield from self._stopped()
        yield from self._balances()
        yield gauge(
            "talon_endpoint_up",
            "Whether a chain's endpoint answered this process the last time.",
            [((str(chain_id), str(number)), up) for chain_id, number, up in self.endpoints],
            ("chain_id", "endpoint"),
        )
        failed = [((name,), rows is None) for name, rows in self.facts.rows.items()]
        yield gauge("talon_scrape_failed", "Whether a fact could not be had in time.", failed, ("fact",))

    def _signer(self) -> Iterator[GaugeMetricFamily]:
        signer = self.state.signer
        yield gauge("talon_signer_up", "Whether the signer answers.", [((), signer is not None)])
        yield gauge("talon_hsm_ok", "Whether the HSM can be used.", [((), signer is not None and signer.ok)])
        if signer is None:
            return
        yield gauge(
            "talon_signer_keys_loaded", "Keys that the signer that answered holds.", [((), signer.keys_loaded)]
        )
        refused = [((name,), outcome == "refused") for name, outcome in signer.custody_checks.items()]
        yield gauge("talon_hsm_custody_ok", "Whether an attack on the keys was refused.", refused, ("check",))

    def _queue(self, fact: str, name: str, what: str) -> Iterator[GaugeMetricFamily]:
        for row in self.facts.rows[fact] or ():
            yield gauge(name, f"{what}.", [((), row.waiting)])
            yield gauge(f"{name}_oldest_seconds", f"{what}: age of the oldest.", [((), row.oldest_s)])

    def _clock(self) -> Iterator[GaugeMetricFamily]:
        for row in self.facts.rows["clock"] or ():
            yield gauge("talon_clock_in_doubt", "Whether the database's clock is in doubt.", [((), row.in_doubt)])
            yield gauge(
                "talon_clock_ahead_seconds", "How far it is ahead of the time last believed.", [((), row.ahead_s)]
            )

    def _waiting(self) -> Iterator[GaugeMetricFamily]:
        for row in self.facts.rows["transactions"] or ():
            yield gauge(
                "talon_unsent_oldest_seconds", "Signed and sent nowhere: age of the oldest.", [((), row.unsent_s)]
            )
            yield gauge(
                "talon_unmined_oldest_seconds", "Sent and in no block: age of the oldest.", [((), row.unmined_s)]
            )

    def _stopped(self) -> Iterator[GaugeMetricFamily]:
        for row in self.facts.rows["stopped_wallets"] or ():
            yield gauge("talon_stopped_wallets", "Wallets that wait for a human to open them.", [((), row.wallets)])

    def _stuck(self) -> Iterator[GaugeMetricFamily]:
        rows = self.facts.rows["stuck_wallets"]
        if rows is None:
            return
        labels = ("chain_id", "address")
        yield gauge(
            "talon_stuck_wallets",
            "Wallets with a transaction that has waited more than five minutes for a block.",
            [((), rows[0].wallets if rows else 0)],
        )
        yield gauge(
            "talon_stuck_wallet_transactions",
            "How many such transactions a wallet has.",
            [((str(row.chain_id), f"0x{row.address}"), row.transactions) for row in rows],
            labels,
        )
        yield gauge(
            "talon_stuck_wallet_oldest_seconds",
            "How long the oldest of them has waited.",
            [((str(row.chain_id), f"0x{row.address}"), row.oldest_s) for row in rows],
            labels,
        )

    def _balances(self) -> Iterator[GaugeMetricFamily]:
        low = sum(balance < self.low_balance_wei for balance in self.balances.values())
        yield gauge("talon_low_balance_wallets", "Wallets in use that hold less than TALON_LOW_BALANCE.", [((), low)])
        yield gauge(
            "talon_wallet_balance",
            "What a wallet in use holds, in the chain's currency.",
            [((str(chain), f"0x{address}"), wei / WEI) for (chain, address), wei in self.balances.items()],
            ("chain_id", "address"),
        )


def gauge(
    name: str, what: str, samples: Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    """One gauge with its samples."""
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family


def write(moment: Moment) -> bytes:
    """The page; reads the files of all processes, so not on the event loop."""
    gauges = CollectorRegistry()
    gauges.register(moment)
    return generate_latest(counts.registry()) + generate_latest(gauges)
