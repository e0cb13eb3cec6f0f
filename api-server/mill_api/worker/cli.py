"""`python -m mill_api worker --queues ml --name NAME --concurrency N`."""

from collections.abc import Sequence

from mill_kit import logs

from mill_api.registry import job_registry
from mill_api.settings import ProcessSettings
from mill_api.worker.options import parse
from mill_api.worker.process import run


def main(arguments: Sequence[str] | None = None) -> int:
    settings = ProcessSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    identity = parse(settings, arguments)
    logs.configure("worker", level=settings.log_level)
    return run(settings, identity, job_registry)
