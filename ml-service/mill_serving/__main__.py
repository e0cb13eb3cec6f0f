"""`python -m mill_serving serve` runs a replica; `python -m mill_serving openapi` prints its OpenAPI document."""

import argparse
import json
import os
import sys
from pathlib import Path

from mill_kit import logs

from mill_serving.app import VERSION, create_app
from mill_serving.doors.documents import create_documents
from mill_serving.files import private_folder
from mill_serving.server import serve
from mill_serving.settings import Settings
from mill_serving.workers import Seat, Supervisor, reserve, unblock_signals


def main() -> int:
    # Read by OpenMP when a library loads it, which is after this: threads that wait must not burn a core others need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    chosen = _arguments()
    if chosen.command == "openapi":
        sys.stdout.write(json.dumps(create_documents(VERSION).openapi(), indent=2, sort_keys=True) + "\n")
        return 0
    settings = Settings()
    logs.configure("ml-service", level=settings.log_level)
    serving = settings.serving
    if chosen.command == "worker":
        unblock_signals()
        seat = Seat(chosen.number, serving.workers, _seats(settings))
        serve(create_app(settings, seat), [reserve(chosen.host, chosen.port, shared=True)], alive=chosen.alive)
    elif serving.workers > 1:
        _tidy(settings)
        patience = serving.drain_seconds + serving.stop_seconds + 10
        return Supervisor(serving.workers, chosen.host, chosen.port, patience).run()
    else:
        _tidy(settings)
        serve(create_app(settings), [reserve(chosen.host, chosen.port, shared=False)])
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mill_serving", description="The data plane of Modelmill.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{serve,openapi}")
    serving = commands.add_parser("serve", help="answer predictions until told to stop")
    worker = commands.add_parser("worker")
    for one in (serving, worker):
        one.add_argument("--host", default="127.0.0.1")
        one.add_argument("--port", type=int, default=8001)
    worker.add_argument("--number", type=int, required=True)
    worker.add_argument("--alive", type=int, required=True)
    commands.add_parser("openapi", help="print the OpenAPI document")
    return parser.parse_args()


def _seats(settings: Settings) -> Path:
    return settings.serving.cache_dir / "workers"


def _tidy(settings: Settings) -> None:
    """Once per start of a replica, before any worker: what a killed one left half done, and the counts of the last run."""
    for path in private_folder(settings.serving.cache_dir / "packages").glob(".*"):
        path.unlink(missing_ok=True)
    for kind in ("*.cells", "*.sock"):
        for path in private_folder(_seats(settings)).glob(kind):
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
