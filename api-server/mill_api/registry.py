"""Every kind of job the control plane knows, in one place: the api-server cancels and repeats by it, the worker runs by it."""

from mill_kit.store import ObjectStore

from mill_api.access.publisher import Publisher
from mill_api.datasets.handlers import ProfileHandler
from mill_api.deployments.handlers import ScoreHandler
from mill_api.deployments.live import LiveVersions
from mill_api.deployments.publication import NotedChanges
from mill_api.jobs.handlers import Registry
from mill_api.models.handlers import TrainHandler
from mill_api.settings import ProcessSettings


def job_registry(settings: ProcessSettings, store: ObjectStore, publisher: Publisher | None = None) -> Registry:  # noqa: ARG001 - limits of each kind become settings
    """`publisher` learns of a deploy that takes effect when a training ends; without one it is noted for the api-server."""
    live = LiveVersions(publisher or NotedChanges())
    return Registry.of([ProfileHandler(store), TrainHandler(store, live), ScoreHandler(store)])
