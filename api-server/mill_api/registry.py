"""Every kind of job the control plane knows, in one place: the api-server cancels and repeats by it, the worker runs by it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from mill_kit.store import ObjectStore
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.publisher import Publisher
from mill_api.datasets import repository as datasets
from mill_api.datasets.handlers import PROFILE, ProfileHandler
from mill_api.deployments import repository as deployments
from mill_api.deployments.handlers import SCORE, ScoreHandler
from mill_api.deployments.live import LiveVersions
from mill_api.deployments.predictions import History
from mill_api.deployments.publication import NotedChanges
from mill_api.housekeeping.handlers import SweepHandler
from mill_api.housekeeping.retention import Retention
from mill_api.housekeeping.service import Housekeeping, NamedKeys
from mill_api.jobs import repository as jobs
from mill_api.jobs.ending import Databases
from mill_api.jobs.handlers import KindSettings, Registry
from mill_api.models import repository as models
from mill_api.models.adoption import ADOPT, AdoptHandler
from mill_api.models.handlers import TRAIN, TrainHandler
from mill_api.models.reach import ModelOf
from mill_api.projects.roles import ProjectOf
from mill_api.settings import KindLimits, ProcessSettings

NAMED_KEYS: Mapping[str, NamedKeys] = MappingProxyType(
    {
        "datasets/": datasets.object_keys,
        "models/": models.object_keys,
        "quarantine/": models.quarantined_keys,
        "scores/": deployments.object_keys,
    }
)
"""Which rows name the objects of a prefix. What lies under it and no row names is swept away after a day."""


def job_registry(
    settings: ProcessSettings, store: ObjectStore, databases: Databases, publisher: Publisher | None = None
) -> Registry:
    """`publisher` learns of a deploy that takes effect when a training ends; without one it is noted for the api-server."""
    live = LiveVersions(publisher or NotedChanges())
    age = timedelta(hours=settings.housekeeping.orphan_hours)
    keep, kinds = settings.housekeeping, settings.jobs
    history = History(timedelta(days=keep.predictions_days), keep.predictions_kept)
    retention = Retention(databases, timedelta(hours=keep.answers_hours), (history.forget,))
    sweep = SweepHandler(Housekeeping(store, databases, NAMED_KEYS, age, retention))
    handlers = [
        ProfileHandler(store, _limited(PROFILE, kinds.profile)),
        TrainHandler(store, live, _limited(TRAIN, kinds.train)),
        ScoreHandler(store, _limited(SCORE, kinds.score)),
        AdoptHandler(store, live, _limited(ADOPT, kinds.adopt)),
        sweep,
    ]
    return Registry.of(handlers, [sweep.schedule(settings.housekeeping.every_seconds)])


def _limited(kind: KindSettings, limits: KindLimits) -> KindSettings:
    return replace(kind, timeout=limits.timeout_seconds, memory_bytes=limits.memory_bytes, threads=limits.threads)


async def project_of_job(session: AsyncSession, job_id: UUID) -> UUID | None:
    """Where the dataset, model or batch prediction lies that the job is about."""
    job = await jobs.get(session, job_id)
    if job is None or job.subject_id is None:
        return None
    for find in (models.project_of, datasets.project_of, deployments.project_of_batch):
        project = await find(session, job.subject_id)
        if project is not None:
            return project
    return None


PROJECT_OF: Mapping[str, ProjectOf] = MappingProxyType(
    {
        "dataset_id": datasets.project_of,
        "model_id": models.project_of,
        "batch_id": deployments.project_of_batch,
        "job_id": project_of_job,
    }
)
"""By the name of a path parameter: in which project that thing lies. Whoever changes it needs to be an editor there."""


async def _model_itself(_: AsyncSession, model_id: UUID) -> UUID:
    return model_id


async def model_of_job(session: AsyncSession, job_id: UUID) -> UUID | None:
    """Of the version that the job trains, validates or scores with."""
    job = await jobs.get(session, job_id)
    version_id = job.spec.get("model_version_id") if job else None
    version = await models.find_version(session, UUID(version_id)) if version_id else None
    return version.model_id if version else None


MODEL_OF: Mapping[str, ModelOf] = MappingProxyType(
    {
        "model_id": _model_itself,
        "deployment_id": deployments.model_of_deployment,
        "batch_id": deployments.model_of_batch,
        "prediction_id": deployments.model_of_prediction,
        "job_id": model_of_job,
    }
)
"""By the name of a path parameter: the model of that thing. An API key that is bound to models reaches it only through them."""
