"""The composition root of the api-server: the only place that knows all parts. Called by `__main__` and by tests."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from mill_kit.http.health import Check, Health
from mill_kit.http.metrics import MetricsMiddleware, RequestMetrics
from mill_kit.http.problems import install, problem_response
from mill_kit.http.request_id import RequestIdMiddleware
from mill_kit.http.slashes import TrailingSlashMiddleware
from mill_kit.logs import get_logger
from mill_kit.store import ObjectStore
from mill_kit.store.open import open_store
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from mill_api.access.endpoints import routers as access_routers
from mill_api.access.passwords import Passwords
from mill_api.access.publisher import NoPublisher, Publisher
from mill_api.access.tokens import TokenSigner
from mill_api.cache import check_cache, open_cache
from mill_api.db import Database
from mill_api.db.away import AWAY, is_unstorable_text
from mill_api.db.schema import require_current_schema
from mill_api.edge import BodyLimit, Unforeseen
from mill_api.errors import Invalid, Unavailable
from mill_api.projects.contents import ProjectContents
from mill_api.projects.endpoints import router as projects_router
from mill_api.settings import Environment, Settings
from mill_api.storage.identity import require_same_store

VERSION = version("mill-api")
_TITLES: dict[str, Any] = {
    "title": "Modelmill",
    "description": "Upload tables, train models, deploy them, watch them.",
    "version": VERSION,
}


@dataclass(frozen=True)
class Parts:
    """What the endpoints work with, in `app.state.parts`. Each domain asks for the few it uses through a Protocol of its own."""

    settings: Settings
    database: Database
    system: Database
    cache: Redis
    store: ObjectStore
    tokens: TokenSigner
    passwords: Passwords
    publisher: Publisher
    project_contents: tuple[ProjectContents, ...]


def routers() -> list[APIRouter]:
    """Every domain's routes, lowest domain first."""
    return [*access_routers, projects_router]


def openapi_document() -> dict[str, Any]:
    """What `/openapi.json` answers; needs no settings, so that the SDK and the console can be generated anywhere."""
    return _describe(FastAPI(**_TITLES)).openapi()


def create_app(settings: Settings) -> FastAPI:
    health = Health("api-server", VERSION)
    metrics = RequestMetrics(CollectorRegistry())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            parts = await _open(settings, stack)
            app.state.parts = parts
            health.required, health.optional = _checks(parts)
            health.started = True
            yield
            health.draining = True

    app = _describe(FastAPI(**_TITLES, lifespan=lifespan, redirect_slashes=False))
    app.state.metrics = metrics
    app.router.routes.extend([*health.routes(), metrics.route()])
    _surround(app, metrics)
    return app


def _describe(app: FastAPI) -> FastAPI:
    for router in routers():
        app.include_router(router)
    return app


def _surround(app: FastAPI, metrics: RequestMetrics) -> None:
    """The layers from the innermost to the outermost."""
    install(app, RequestValidationError)
    for error in AWAY:
        app.add_exception_handler(error, _on_database_away)
    app.add_exception_handler(DBAPIError, _on_unstorable_text)
    app.add_middleware(Unforeseen)
    app.add_middleware(BodyLimit)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    app.add_middleware(TrailingSlashMiddleware)
    app.add_middleware(RequestIdMiddleware)


async def _open(settings: Settings, stack: AsyncExitStack) -> Parts:
    """Open every part; `stack` closes them again, also when a later one fails."""
    database = Database.connect(settings.database.url.get_secret_value(), pool_size=settings.database.pool_size)
    stack.push_async_callback(database.close)
    system = Database.connect(
        settings.database.system_url.get_secret_value(), pool_size=2, application="mill-api-system"
    )
    stack.push_async_callback(system.close)
    cache = open_cache(settings.cache.url.get_secret_value())
    stack.push_async_callback(cache.aclose)
    passwords = Passwords(fast=settings.environment is Environment.TEST)
    stack.callback(passwords.close)
    store = open_settings_store(settings)
    await require_current_schema(database.engine)
    await require_same_store(database, store)
    return Parts(
        settings=settings,
        database=database,
        system=system,
        cache=cache,
        store=store,
        tokens=TokenSigner.load(settings.tokens.private_key_file, settings.tokens.access_seconds),
        passwords=passwords,
        publisher=NoPublisher(),
        project_contents=(),
    )


def open_settings_store(settings: Settings) -> ObjectStore:
    """The object store that `settings` name; the worker opens the same."""
    keys = (settings.store.access_key, settings.store.secret_key)
    return open_store(settings.store.url, *(key.get_secret_value() if key else None for key in keys))


def _checks(parts: Parts) -> tuple[dict[str, Check], dict[str, Check]]:
    """What readiness needs, and what is only shown: without its cache the api-server is slower, not wrong."""

    async def database() -> None:
        async with parts.database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def store() -> None:
        await asyncio.to_thread(parts.store.check)

    async def cache() -> None:
        await check_cache(parts.cache)

    return {"database": database, "store": store}, {"cache": cache}


async def _on_database_away(request: Request, error: Exception) -> Response:
    get_logger().error("database_away", error=repr(error))
    problem = Unavailable("The database does not answer; try again in a moment", headers={"Retry-After": "2"})
    return problem_response(problem, request.url.path)


async def _on_unstorable_text(request: Request, error: Exception) -> Response:
    """A NUL character got past the schemas (a path, a form); any other refusal of the database is our own mistake."""
    if not is_unstorable_text(error):
        raise error
    return problem_response(Invalid("The request contains a NUL character"), request.url.path)
