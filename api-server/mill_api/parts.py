"""The parts of a running api-server, opened in order and closed in reverse. Called by `app.py` when the service starts.

Together with `app.py` this is the composition root: no other module knows all domains.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from mill_kit.http.health import Check
from mill_kit.signing import load_private_key
from mill_kit.store import ObjectStore
from mill_kit.store.open import open_store
from mill_kit.telemetry import Tracer
from mill_kit.telemetry.store import traced
from redis.asyncio import Redis
from sqlalchemy import text

from mill_api.access import first_admin
from mill_api.access.known_keys import KnownKeys
from mill_api.access.passwords import Passwords
from mill_api.access.tokens import TokenSigner
from mill_api.cache import check_cache, open_cache
from mill_api.datasets import repository as dataset_rows
from mill_api.datasets.contents import ProjectDatasets
from mill_api.datasets.service import DatasetService
from mill_api.db import Database
from mill_api.db.presence import working_for
from mill_api.db.schema import require_current_schema
from mill_api.db.store_identity import require_same_store
from mill_api.deployments import repository as deployment_rows
from mill_api.deployments.batches import BatchService
from mill_api.deployments.contents import ProjectDeployments
from mill_api.deployments.live import LiveVersions
from mill_api.deployments.predictions import PredictionService
from mill_api.deployments.publication import Publication
from mill_api.deployments.rollout import Replicas
from mill_api.deployments.service import DeploymentService
from mill_api.jobs import repository as job_rows
from mill_api.jobs.ending import Databases
from mill_api.jobs.handlers import Registry
from mill_api.models import repository as model_rows
from mill_api.models.contents import ProjectModels
from mill_api.models.reach import ModelReach
from mill_api.models.repository import KnownModels
from mill_api.models.service import ModelService
from mill_api.models.uploads import ModelUploads
from mill_api.projects.contents import ProjectContents
from mill_api.projects.roles import PathGuard
from mill_api.queue import Sender
from mill_api.quotas.service import Count, Quota, Quotas, predictions_today
from mill_api.registry import MODEL_OF, PROJECT_OF, job_registry
from mill_api.settings import Environment, Settings
from mill_api.usage.predictions import PredictionCounts

_CANCEL_AGAIN_SECONDS = 0.5
COUNTS: Mapping[Quota, tuple[Count, ...]] = {
    Quota.BYTES: (dataset_rows.stored_bytes, model_rows.stored_bytes, deployment_rows.stored_bytes),
    Quota.MODELS: (model_rows.count_models,),
    Quota.RUNNING_JOBS: (job_rows.count_running,),
    Quota.PREDICTIONS_PER_DAY: (predictions_today,),
}
"""Who keeps the rows that a quota counts."""


@dataclass(frozen=True)
class Parts:
    """What the endpoints work with, in `app.state.parts`. Each domain asks for the few it uses through a Protocol of its own."""

    settings: Settings
    database: Database
    system: Database
    cache: Redis
    store: ObjectStore
    sender: Sender
    tokens: TokenSigner
    passwords: Passwords
    keys: KnownKeys
    publisher: Publication
    registry: Registry
    datasets: DatasetService
    models: ModelService
    model_uploads: ModelUploads
    deployments: DeploymentService
    batches: BatchService
    predictions: PredictionService
    quotas: Quotas
    project_contents: tuple[ProjectContents, ...]
    projects: PathGuard
    known_models: KnownModels
    model_reach: ModelReach


@asynccontextmanager
async def open_parts(settings: Settings, tracer: Tracer) -> AsyncGenerator[Parts]:
    """Everything, checked: the schema is current and the store is the one the database belongs to."""
    async with AsyncExitStack() as stack:
        sender = Sender.connect(settings.broker.url.get_secret_value())
        stack.callback(sender.close)
        database, system = _databases(settings, sender, tracer)
        stack.push_async_callback(database.close)
        stack.push_async_callback(system.close)
        cache = open_cache(settings.cache.url.get_secret_value())
        stack.push_async_callback(cache.aclose)
        passwords = Passwords(fast=settings.environment is Environment.TEST)
        stack.callback(passwords.close)
        serving = httpx.AsyncClient(
            base_url=settings.serving.url, timeout=settings.serving.timeout_seconds, trust_env=False
        )
        await stack.enter_async_context(serving)
        await require_current_schema(database.engine)
        await first_admin.prepare(database, passwords, settings.access)
        store = traced(await asyncio.to_thread(open_settings_store, settings), tracer)
        await require_same_store(database, store)
        keys = KnownKeys(database, system)
        signing_key = load_private_key(settings.publish.private_key_file)
        publication = Publication(system, store, cache, signing_key, committed=keys.forget)
        await stack.enter_async_context(always(publication.run(settings.publish.every_seconds), "publication"))
        counts = PredictionCounts(system, cache, settings.quotas)
        await stack.enter_async_context(always(counts.run(), "prediction-counts"))
        live = LiveVersions(publication)
        datasets = DatasetService(store, settings.uploads.max_bytes)
        quotas = Quotas(settings.quotas, COUNTS)
        models = ModelService(store, live)
        deployments = DeploymentService(live, Replicas(cache))
        yield Parts(
            settings=settings,
            database=database,
            system=system,
            cache=cache,
            store=store,
            sender=sender,
            tokens=TokenSigner.load(settings.tokens.private_key_file, settings.tokens.access_seconds),
            passwords=passwords,
            keys=keys,
            publisher=publication,
            registry=job_registry(settings, store, Databases(database, system), publication),
            datasets=datasets,
            models=models,
            model_uploads=ModelUploads(store, settings.uploads.max_model_bytes, quotas),
            deployments=deployments,
            batches=BatchService(store, settings.uploads.max_bytes),
            predictions=PredictionService(database, serving, tracer),
            quotas=quotas,
            project_contents=(ProjectDeployments(deployments), ProjectModels(models), ProjectDatasets(datasets)),
            projects=PathGuard(PROJECT_OF),
            known_models=KnownModels(),
            model_reach=ModelReach(MODEL_OF),
        )


def open_settings_store(settings: Settings) -> ObjectStore:
    """The object store that `settings` name."""
    keys = (settings.store.access_key, settings.store.secret_key)
    return open_store(settings.store.url, *(key.get_secret_value() if key else None for key in keys))


def health_checks(parts: Parts) -> tuple[dict[str, Check], dict[str, Check]]:
    """What readiness needs, and what is only shown: without its cache the api-server is slower, not wrong."""

    async def database() -> None:
        with working_for(None):  # others read the answer too
            async with parts.database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

    async def store() -> None:
        await asyncio.to_thread(parts.store.check)

    async def cache() -> None:
        await check_cache(parts.cache)

    return {"database": database, "store": store}, {"cache": cache}


def _databases(settings: Settings, sender: Sender, tracer: Tracer) -> tuple[Database, Database]:
    """As mill_app for requests, as mill_system for the few things that see all workspaces."""
    urls, wait = settings.database, settings.database.pool_wait_seconds
    database = Database.connect(
        urls.url.get_secret_value(), pool_size=urls.pool_size, wait_seconds=wait, wake=sender.wake, tracer=tracer
    )
    system = Database.connect(
        urls.system_url.get_secret_value(),
        pool_size=urls.system_pool_size,
        wait_seconds=wait,
        application="mill-api-system",
        wake=sender.wake,
        tracer=tracer,
    )
    return database, system


@asynccontextmanager
async def always(work: Coroutine[Any, Any, None], name: str) -> AsyncGenerator[None]:
    """A background task, as long as the block lasts.

    It is cancelled until it ends: `asyncio.wait_for`, which drivers connect with, loses a cancellation that comes together with
    its answer (before Python 3.12), and the task would go on for ever.
    """
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)
        if not task.cancelled():
            task.result()
