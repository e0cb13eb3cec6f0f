"""The composition root of the api-server: routes, layers and parts put together. Called by `__main__` and by tests."""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from mill_kit.http.docs import docs_routes
from mill_kit.http.health import Health, HealthCollector
from mill_kit.http.metrics import RequestMetrics
from mill_kit.http.problems import install, problem_response
from mill_kit.logs import get_logger
from mill_kit.telemetry import open_tracer
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.responses import Response

from mill_api.access.endpoints import routers as access_routers
from mill_api.datasets.endpoints import router as datasets_router
from mill_api.db.away import AWAY, is_unstorable
from mill_api.deployments.endpoints import routers as deployments_routers
from mill_api.description import add_routes, operation_id
from mill_api.edge.layers import surround
from mill_api.errors import Invalid, Unavailable
from mill_api.jobs.endpoints import router as jobs_router
from mill_api.jobs.metrics import JobMetrics
from mill_api.models.endpoints import router as models_router
from mill_api.models.upload_endpoints import router as model_uploads_router
from mill_api.once.errors import Replay
from mill_api.once.route import replayed
from mill_api.parts import always, health_checks, open_parts
from mill_api.projects.endpoints import router as projects_router
from mill_api.settings import Settings
from mill_api.usage.endpoints import router as usage_router

VERSION = version("mill-api")
_UPLOADS = re.compile(r"/api/v1/(datasets|models/upload|models/[^/]+/(batch-predictions/)?upload)")
_TITLES: dict[str, Any] = {
    "title": "Modelmill",
    "description": "Upload tables, train models, deploy them, watch them.",
    "version": VERSION,
    "generate_unique_id_function": operation_id,
    "docs_url": None,
    "redoc_url": None,
}


def routers() -> list[APIRouter]:
    """Every domain's routes, lowest domain first."""
    return [
        *access_routers,
        jobs_router,
        projects_router,
        datasets_router,
        model_uploads_router,
        models_router,
        *deployments_routers,
        usage_router,
    ]


def openapi_document() -> dict[str, Any]:
    """What `/openapi.json` answers; needs no settings, so that the SDK and the console can be generated anywhere."""
    return add_routes(FastAPI(**_TITLES), routers()).openapi()


def create_app(settings: Settings) -> FastAPI:
    health = Health("api-server", VERSION)
    metrics = RequestMetrics(CollectorRegistry())
    metrics.registry.register(HealthCollector(health))
    tracer = open_tracer(settings.telemetry, "api-server", VERSION, socket.gethostname(), decides=True)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_parts(settings, tracer) as parts:
            app.state.parts = parts
            health.required, health.optional = health_checks(parts)
            health.started = True
            async with _counting_jobs(JobMetrics(parts.system, parts.sender), metrics.registry):
                yield
            health.draining = True
        await asyncio.to_thread(tracer.close)

    app = add_routes(FastAPI(**_TITLES, lifespan=lifespan, redirect_slashes=False), routers())
    app.state.metrics = metrics
    app.router.routes.extend([*health.routes(), metrics.route(), *docs_routes("Modelmill")])
    _answer_errors(app)
    surround(app, settings, metrics, _UPLOADS, tracer)
    return app


@asynccontextmanager
async def _counting_jobs(jobs: JobMetrics, registry: CollectorRegistry) -> AsyncGenerator[None]:
    """The ledger's gauges in /metrics, refreshed in the background."""
    registry.register(jobs)
    async with always(jobs.run(), "job-metrics"):
        yield


def _answer_errors(app: FastAPI) -> None:
    """Every error as a problem document."""
    install(app, RequestValidationError)
    for error in AWAY:
        app.add_exception_handler(error, _on_database_away)
    app.add_exception_handler(DBAPIError, _on_unstorable)
    app.add_exception_handler(Replay, _on_replay)


async def _on_database_away(request: Request, error: Exception) -> Response:
    get_logger().error("database_away", error=repr(error))
    busy = isinstance(error, PoolTimeout)
    said = "Too many requests wait for the database" if busy else "The database does not answer"
    problem = Unavailable(f"{said}; try again in a moment", headers={"Retry-After": "2"})
    return problem_response(problem, request.url.path)


async def _on_replay(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    return replayed(cast(Replay, error))


async def _on_unstorable(request: Request, error: Exception) -> Response:
    """Something got past the schemas (a path, a form, a query); any other refusal of the database is our own mistake."""
    if not is_unstorable(error):
        raise error
    return problem_response(
        Invalid(
            "The request holds text or a number that cannot be kept: a NUL character, half a character, or too large"
        ),
        request.url.path,
    )
