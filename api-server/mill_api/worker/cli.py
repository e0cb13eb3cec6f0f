"""`python -m mill_api worker --queues ml --name NAME --concurrency N`; `--check` instead asks whether that worker lives."""

import asyncio
from collections.abc import Sequence

from mill_kit import logs

from mill_api.db import Database
from mill_api.jobs.workers import is_alive
from mill_api.registry import job_registry
from mill_api.settings import ProcessSettings
from mill_api.worker.options import parse
from mill_api.worker.process import run


def main(arguments: Sequence[str] | None = None) -> int:
    settings = ProcessSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    options = parse(settings, arguments)
    logs.configure("worker", level=settings.log_level)
    if options.check:
        return 0 if asyncio.run(check(settings, options.identity.name)) else 1
    return run(settings, options.identity, job_registry)


async def check(settings: ProcessSettings, name: str) -> bool:
    """For a container's health check. Two sweeps may be missed; the broker may be silent for a while."""
    database = Database.connect(settings.database.system_url.get_secret_value(), pool_size=1)
    try:
        times = settings.worker
        return await is_alive(
            database,
            name,
            seen_within=3 * times.sweep_seconds,
            heard_within=times.silence_seconds + times.sweep_seconds,
        )
    finally:
        await database.close()
