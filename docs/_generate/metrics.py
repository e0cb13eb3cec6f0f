"""`metrics.md`: what both services answer at `/metrics`, read from their own collectors without starting them."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from mill_api.db import Database
from mill_api.jobs.metrics import JobMetrics
from mill_api.queue import Sender
from mill_contracts.routing import RoutingSnapshot
from mill_kit.http.metrics import RequestMetrics
from mill_serving.app import create_app
from mill_serving.metrics import EngineCollector
from mill_serving.settings import ServingSettings, Settings
from mill_serving.snapshot.keeper import InForce
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from _generate.markdown import code, page, table

INTRODUCTION = """\
`GET /metrics` of either service answers in the Prometheus text format and needs no key; nginx does not publish it.
Labels are bounded: routes are templates, never paths, and `model` is a public model's name or a model's id, at most 200 of them."""


def metrics_page() -> str:
    return page(
        "Metrics",
        INTRODUCTION,
        "## api-server",
        "The figures of jobs and workers come from PostgreSQL every ten seconds and are left out while it is away.",
        _table(_of_the_api_server()),
        "## ml-service",
        _table(_of_the_ml_service()),
    )


def _table(metrics: Iterable[Metric]) -> str:
    rows = [(code(_shown_name(one)), one.type, _labels(one), one.documentation) for one in metrics]
    return table(["metric", "type", "labels", "meaning"], sorted(rows))


def _shown_name(metric: Metric) -> str:
    """As a query names it."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels(metric: Metric) -> str:
    declared: tuple[str, ...] = getattr(metric, "_labelnames", ())
    found = dict.fromkeys([*declared, *(name for sample in metric.samples for name in sample.labels)])
    return ", ".join(code(name) for name in found if name != "le")


def _of_the_api_server() -> Iterator[Metric]:
    requests = RequestMetrics(CollectorRegistry())
    requests.requests.labels("GET", "/", "200").inc()
    requests.durations.labels("GET", "/").observe(0)
    yield from requests.registry.collect()
    sender = Sender.connect("redis://127.0.0.1:1/0")
    try:
        jobs = JobMetrics(cast(Database, _NoRows()), sender)
        asyncio.run(jobs.refresh())
        yield from jobs.collect()
    finally:
        sender.close()


def _of_the_ml_service() -> Iterator[Metric]:
    with TemporaryDirectory() as folder:
        parts = create_app(Settings(serving=ServingSettings(cache_dir=Path(folder))))
        snapshot = RoutingSnapshot(number=1, issued_at=datetime.now(UTC))
        parts.engine.keeper.in_force = InForce(snapshot, {}, b"")
        yield from EngineCollector(parts.engine).collect()


class _NoRows:
    """A database in which nothing has happened yet."""

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator["_NoRows"]:
        yield self

    async def execute(self, _statement: object) -> "_NoRows":
        return self

    async def scalar(self, _statement: object) -> int:
        return 0

    def one(self) -> tuple[int, float]:
        return 0, 0.0

    def __iter__(self) -> Iterator[Any]:
        return iter(())
