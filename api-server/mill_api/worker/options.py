"""The options of `python -m mill_api worker`, over its settings."""

import argparse
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from mill_contracts.jobs import Queue

from mill_api.settings import ProcessSettings
from mill_api.worker.house import Identity


@dataclass(frozen=True)
class Options:
    """`check`: only tell whether the worker of this name lives."""

    identity: Identity
    check: bool


def parse(settings: ProcessSettings, arguments: Sequence[str] | None) -> Options:
    """Options win over `MILL_WORKER__…`; the name must be stable, and no two workers may share one."""
    parser = argparse.ArgumentParser(prog="python -m mill_api worker", description="Claim jobs and run them")
    parser.add_argument("--queues", default=settings.worker.queues, help="comma separated: ml, data, general")
    parser.add_argument("--name", default="worker")
    parser.add_argument("--concurrency", type=int, default=settings.worker.concurrency)
    parser.add_argument(
        "--check", action="store_true", help="exit with 0 when the worker of this name is alive, else 1"
    )
    given = parser.parse_args(arguments)
    queues = tuple(Queue(name.strip()).value for name in given.queues.split(","))
    node = f"{given.name}@{socket.gethostname()}"
    return Options(Identity(given.name, node, queues, given.concurrency), given.check)
