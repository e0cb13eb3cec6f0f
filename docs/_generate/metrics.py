"""`metrics.md`: what both services answer at `/metrics`, read from their own collectors without starting them."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx
from mill_api.app import create_app as create_api_server
from mill_api.db import Database
from mill_api.jobs.metrics import JobMetrics
from mill_api.queue import Sender
from mill_api.queue.sender import SendCounts
from mill_api.settings import Settings as ApiSettings
from mill_contracts.routing import RoutingSnapshot
from mill_kit.http.health import HealthCollector
from mill_serving.app import create_app as create_ml_service
from mill_serving.metrics import EngineCollector
from mill_serving.settings import ServingSettings, Settings
from mill_serving.snapshot.keeper import InForce
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp

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
    """What its own registry holds, and the ledger's gauges, which join it when the service has started."""
    app = create_api_server(_api_settings())
    app.state.metrics.requests.labels("GET", "/", "200").inc()
    app.state.metrics.durations.labels("GET", "/").observe(0)
    yield from app.state.metrics.registry.collect()
    jobs = JobMetrics(cast(Database, _NoRows()), cast(Sender, _NoBroker()))
    asyncio.run(jobs.refresh())
    yield from jobs.collect()


def _api_settings() -> ApiSettings:
    """Nothing of it is opened: an application opens its parts when it starts."""
    nowhere, key = "redis://nowhere", Path("nowhere.pem")
    database = {"url": "postgresql://nowhere", "system_url": "postgresql://nowhere"}
    return ApiSettings.model_validate(
        {
            "environment": "test",
            "database": database,
            "broker": {"url": nowhere},
            "cache": {"url": nowhere},
            "store": {"url": "file:///nowhere"},
            "tokens": {"private_key_file": key},
            "publish": {"private_key_file": key},
            "serving": {"url": "http://nowhere"},
        }
    )


def _of_the_ml_service() -> list[Metric]:
    with TemporaryDirectory() as folder:
        parts = create_ml_service(Settings(serving=ServingSettings(cache_dir=Path(folder))))
        snapshot = RoutingSnapshot(number=1, issued_at=datetime.now(UTC))
        parts.engine.keeper.in_force = InForce(snapshot, {}, {}, b"")
        found = [*EngineCollector(parts.engine).collect(), *HealthCollector(parts.health).collect()]
        answered = set(re.findall(r"^# TYPE (\w+) ", asyncio.run(_scrape(parts.documents)), re.MULTILINE))
    forgotten = answered - {_shown_name(one) for one in found}
    if forgotten:
        raise LookupError(f"ml-service answers metrics that docs/_generate/metrics.py does not know: {forgotten}")
    return found


async def _scrape(app: ASGIApp) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ml-service") as client:
        return (await client.get("/metrics")).text


class _NoBroker:
    """A broker that nobody has asked yet."""

    counts = SendCounts()

    async def lengths(self, _queues: Iterable[str]) -> None:
        return None


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
