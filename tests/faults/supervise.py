"""The supervisor of `modelmill up`, with proxies between the services and their servers: `python -m tests.faults.supervise`.

Started by `cluster.py`. `FAULTS_PROXIES` is JSON: server name to the port of its proxy. `FAULTS_CLOCK` is a file that libfaketime
reads: the services then live at the time it says.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mill_local import supervisor
from mill_local.home import Home
from mill_local.parts import ServicePart, ServiceSpec
from mill_local.plan import Plan, StackOptions

FAKETIME = tuple(Path(f"/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1") for machine in ("x86_64", "aarch64"))

FORGET_AFTER = 10.0
"""Seconds after which a part that runs is not taken for one in a crash loop, as with Docker's restart policy: faults come often here."""


def faketime_library() -> Path | None:
    """None where Debian's package `faketime` is not installed."""
    return next((path for path in FAKETIME if path.is_file()), None)


class FaultyPlan(Plan):
    """The plan of the embedded stack, its addresses bent towards the proxies."""

    def _shared(self) -> dict[str, str]:
        return self._bent(super()._shared())

    def _control_environment(self) -> dict[str, str]:
        return self._bent(super()._control_environment())

    def _base_environment(self) -> dict[str, str]:
        clock, library = os.environ.get("FAULTS_CLOCK"), faketime_library()
        if clock is None or library is None:
            return super()._base_environment()
        return super()._base_environment() | {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": clock,
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def _worker(self, name: str, queues: str, concurrency: int) -> ServicePart:
        """With `FAULTS_VISIBILITY`, one whose broker is impatient."""
        if "FAULTS_VISIBILITY" not in os.environ:
            return super()._worker(name, queues, concurrency)
        options = ("--queues", queues, "--name", name, "--concurrency", str(concurrency))
        script = str(Path(__file__).with_name("impatient_worker.py"))
        usual = self._program(name, "mill_api", "worker", *options, extra=self._control_environment())
        environment = dict(usual.environment) | {"FAULTS_VISIBILITY": os.environ["FAULTS_VISIBILITY"]}
        program = replace(usual, argv=[sys.executable, script, "worker", *options], environment=environment)
        return ServicePart(ServiceSpec(program))

    def _bent(self, environment: dict[str, str]) -> dict[str, str]:
        servers = {
            "postgres": self.servers.postgres.port,
            "broker": self.servers.broker.port,
            "cache": self.servers.cache.port,
        }
        proxies: Mapping[str, int] = json.loads(os.environ.get("FAULTS_PROXIES", "{}"))
        for name, port in proxies.items():
            environment = {key: value.replace(f":{servers[name]}/", f":{port}/") for key, value in environment.items()}
        return environment


def follow(parent: int) -> None:
    """Stop in order when the run that started us has ended, however it did: nothing is left running."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    home, api_port, serving_port = sys.argv[1:4]
    options = StackOptions(api_port=int(api_port), serving_port=int(serving_port))

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    threading.Thread(target=follow, args=(os.getppid(),), name="follow", daemon=True).start()
    supervisor.FORGET_AFTER = FORGET_AFTER
    supervisor.Supervisor(Home(Path(home)), options, say, FaultyPlan.make).run()


if __name__ == "__main__":
    main()
