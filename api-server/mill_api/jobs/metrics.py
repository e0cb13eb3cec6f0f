"""Gauges of the ledger for the api-server's /metrics, read from PostgreSQL: the truth survives every process.

`JobMetrics` is a collector of `prometheus_client`; `run` refreshes it in the background, so a scrape never waits for the database.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from mill_contracts.jobs import JobKind, JobState, Queue
from mill_kit.logs import get_logger
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import text

from mill_api.db import Database
from mill_api.queue import Sender
from mill_api.queue.lengths import Lengths

_JOBS = text(
    "SELECT kind, state, count(*), extract(epoch FROM clock_timestamp() - min(coalesce(started_at, queued_at, created_at))) "
    "FROM jobs GROUP BY kind, state"
)
_OLDEST_QUEUED = text(
    "SELECT queue, extract(epoch FROM clock_timestamp() - min(queued_at)) FROM jobs WHERE state = 'queued' GROUP BY queue"
)
_EXPIRED = text("SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until < clock_timestamp()")
_WAITED = text(
    "SELECT count(*), coalesce(sum(extract(epoch FROM started_at - queued_at)), 0) FROM jobs "
    "WHERE started_at > clock_timestamp() - interval '5 minutes'"
)
_COUNTERS = text("SELECT name, value FROM job_counters")
_WORKERS = text(
    "SELECT name, busy, concurrency, extract(epoch FROM clock_timestamp() - seen_at), "
    "extract(epoch FROM clock_timestamp() - swept_at), extract(epoch FROM clock_timestamp() - canary_ran_at) "
    "FROM workers WHERE seen_at > clock_timestamp() - interval '1 hour' ORDER BY name LIMIT 100"
)
_COUNTER_NAMES = {
    "lease_expired": ("mill_job_lease_expiries", "Leases that ran out because a worker was not heard of"),
    "fencing_refused": ("mill_job_fencing_refusals", "Attempts that tried to end a job that was no longer theirs"),
    "resent": ("mill_job_wakeups_resent", "Wake-ups that the sweep sent again"),
}
_UNENDED = ("waiting", "queued", "running")


@dataclass
class _Figures:
    jobs: list[Any] = field(default_factory=list[Any])
    oldest: list[Any] = field(default_factory=list[Any])
    expired: int = 0
    waited: tuple[int, float] = (0, 0.0)
    counters: dict[str, int] = field(default_factory=dict[str, int])
    workers: list[Any] = field(default_factory=list[Any])


class JobMetrics(Collector):
    """Register it with the service's registry and keep `run` going. `system` is the system role's database."""

    def __init__(self, system: Database, sender: Sender) -> None:
        self._system = system
        self._sender = sender
        self._figures = _Figures()
        self._lengths: Lengths | None = None
        self._fresh = False

    async def run(self, every_seconds: float = 10.0) -> None:
        """Refresh for ever; while database or broker is away its gauges are left out rather than shown stale."""
        while True:
            try:
                await self.refresh()
            except Exception as error:
                self._fresh = False
                get_logger().warning("job_metrics_not_read", error=repr(error))
            await asyncio.sleep(every_seconds)

    async def refresh(self) -> None:
        self._lengths = await self._sender.lengths(queue.value for queue in Queue)
        async with self._system.reading() as reading:
            self._figures = _Figures(
                jobs=list(await reading.execute(_JOBS)),
                oldest=list(await reading.execute(_OLDEST_QUEUED)),
                expired=await reading.scalar(_EXPIRED) or 0,
                waited=tuple((await reading.execute(_WAITED)).one()),
                counters={row[0]: row[1] for row in await reading.execute(_COUNTERS)},
                workers=list(await reading.execute(_WORKERS)),
            )
        self._fresh = True

    def collect(self) -> Iterator[Metric]:
        yield from self._of_this_process()
        yield from self._of_broker()
        if self._fresh:
            yield from self._of_jobs()
            yield from self._of_counters()
            yield from self._of_workers()

    def describe(self) -> Iterator[Metric]:
        """Nothing: names come with the figures."""
        return iter(())

    def _of_this_process(self) -> Iterator[Metric]:
        yield CounterMetricFamily("mill_wakeups_sent", "Wake-ups this process sent", value=self._sender.counts.sent)
        yield CounterMetricFamily(
            "mill_wakeups_failed", "Wake-ups this process could not send", value=self._sender.counts.failed
        )

    def _of_broker(self) -> Iterator[Metric]:
        """Messages are only hints: they should be gone within seconds, and none is taken and kept."""
        waiting = GaugeMetricFamily("mill_queue_messages", "Wake-ups that no worker has taken yet", labels=["queue"])
        unacked = GaugeMetricFamily("mill_queue_unacked", "Wake-ups of all queues that were taken and not confirmed")
        if self._lengths is not None:
            for queue, length in self._lengths.waiting.items():
                waiting.add_metric([queue], length)
            unacked.add_metric([], self._lengths.unacked)
        yield waiting
        yield unacked

    def _of_jobs(self) -> Iterator[Metric]:
        number = GaugeMetricFamily("mill_jobs", "Jobs by kind and state", labels=["kind", "state"])
        age = GaugeMetricFamily(
            "mill_jobs_oldest_age_seconds", "Age of the oldest unended job", labels=["kind", "state"]
        )
        counts = {(kind, state): count for kind, state, count, _ in self._figures.jobs}
        # At 0 too, or the first failures are no rise that an alert can see.
        for kind, state in product(JobKind, JobState):
            number.add_metric([kind.value, state.value], counts.get((kind.value, state.value), 0))
        for kind, state, _, oldest in self._figures.jobs:
            if state in _UNENDED:
                age.add_metric([kind, state], float(oldest or 0))
        queued = GaugeMetricFamily(
            "mill_jobs_oldest_queued_seconds", "How long the oldest queued job has waited", labels=["queue"]
        )
        for queue, oldest in self._figures.oldest:
            queued.add_metric([queue], float(oldest or 0))
        yield number
        yield age
        yield queued
        yield GaugeMetricFamily(
            "mill_jobs_lease_expired", "Running jobs whose lease has run out", value=self._figures.expired
        )
        count, seconds = self._figures.waited
        yield GaugeMetricFamily(
            "mill_jobs_claim_delay_seconds",
            "Mean time from queued to claimed, of the last five minutes",
            value=float(seconds) / count if count else 0.0,
        )

    def _of_counters(self) -> Iterator[Metric]:
        for name, (metric, meaning) in _COUNTER_NAMES.items():
            yield CounterMetricFamily(metric, meaning, value=self._figures.counters.get(name, 0))

    def _of_workers(self) -> Iterator[Metric]:
        meanings = {
            "mill_worker_busy": "Jobs the worker runs now",
            "mill_worker_concurrency": "Jobs the worker can run at once",
            "mill_worker_seen_age_seconds": "Since the worker's last sign of life",
            "mill_worker_sweep_age_seconds": "Since the worker last swept",
            "mill_worker_canary_age_seconds": "Since a message last reached the worker through the broker",
        }
        for place, (metric, meaning) in enumerate(meanings.items(), start=1):
            family = GaugeMetricFamily(metric, meaning, labels=["worker"])
            for row in self._figures.workers:
                if row[place] is not None:
                    family.add_metric([row[0]], float(row[place]))
            yield family
