"""The options of `python -m mill_api worker`, over its settings."""

import argparse
import socket
from collections.abc import Sequence

from mill_contracts.jobs import Queue

from mill_api.settings import ProcessSettings
from mill_api.worker.house import Identity


def parse(settings: ProcessSettings, arguments: Sequence[str] | None) -> Identity:
    """Options win over `MILL_WORKER__…`; the name must be stable and one per process of a machine."""
    parser = argparse.ArgumentParser(prog="python -m mill_api worker", description="Claim jobs and run them")
    parser.add_argument("--queues", default=settings.worker.queues, help="comma separated: ml, data, general")
    parser.add_argument("--name", default="worker")
    parser.add_argument("--concurrency", type=int, default=settings.worker.concurrency)
    given = parser.parse_args(arguments)
    queues = tuple(Queue(name.strip()).value for name in given.queues.split(","))
    return Identity(given.name, f"{given.name}@{socket.gethostname()}", queues, given.concurrency)
