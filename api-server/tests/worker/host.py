"""A real worker process whose jobs run `speaker.py`. Started by tests: `host.py --name NAME --queues Q --concurrency N`."""

import os
import sys
from datetime import timedelta
from pathlib import Path

from mill_api.jobs.ending import Databases
from mill_api.jobs.handlers import Registry, Schedule
from mill_api.jobs.testing import WitnessHandler, witness_settings
from mill_api.settings import ProcessSettings
from mill_api.worker.options import parse
from mill_api.worker.process import run
from mill_contracts.jobs import JobKind, Queue
from mill_kit import logs
from mill_kit.store import ObjectStore

SPEAKER = (sys.executable, str(Path(__file__).with_name("speaker.py")))


def registry(_settings: ProcessSettings, store: ObjectStore, _databases: Databases) -> Registry:
    limits = {"timeout": 30.0, "memory_bytes": 300 * 2**20, "command": SPEAKER}
    profile = witness_settings(JobKind.PROFILE, Queue.DATA, **limits)
    train = witness_settings(JobKind.TRAIN, Queue.ML, **limits | {"timeout": 1.5})
    sweep = witness_settings(JobKind.SWEEP, Queue.GENERAL)
    every = float(os.environ.get("TICK_SECONDS", "0"))
    ticks = [Schedule("tick", timedelta(seconds=every), sweep)] if every else []
    return Registry.of([WitnessHandler(each, store) for each in (profile, train, sweep)], ticks)


if __name__ == "__main__":
    settings = ProcessSettings()  # pyright: ignore[reportCallIssue] - filled from the environment
    logs.configure("worker", level="INFO")
    sys.exit(run(settings, parse(settings, sys.argv[1:]).identity, registry))
