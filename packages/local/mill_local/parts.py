"""The parts of the stack as the supervisor sees them: something that starts, may die, and stops."""

import signal
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from mill_local.errors import PartFailed
from mill_local.postgres import PostgresServer
from mill_local.process import Child, Program
from mill_local.valkey import ValkeyServer

READY_SECONDS = 90.0
HEALTH_TIMEOUT = 2.0
POLL_SECONDS = 0.1


class Part(Protocol):
    """`start` returns once the process runs; `wait_ready` once it does its work, or nobody wants it any more."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int | None: ...
    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def wait_ready(self, give_up: Event) -> None: ...
    def is_running(self) -> bool: ...
    def stop(self) -> None: ...


class ServerPart:
    """PostgreSQL or a Valkey: ready when `start` returns."""

    def __init__(self, name: str, server: PostgresServer | ValkeyServer) -> None:
        self.name = name
        self._server = server

    @property
    def port(self) -> int | None:
        return self._server.port

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server.is_running() else None

    def start(self) -> None:
        self._server.start()

    def wait_ready(self, give_up: Event) -> None:
        """Nothing more to wait for."""

    def is_running(self) -> bool:
        return self._server.is_running()

    def stop(self) -> None:
        self._server.stop()


@dataclass(frozen=True)
class ServiceSpec:
    """One of our own services. `health_url` is polled until it answers 200; without one, running is ready."""

    program: Program
    port: int | None = None
    health_url: str | None = None
    stop_seconds: float = 20.0


class ServicePart:
    def __init__(self, spec: ServiceSpec) -> None:
        self._spec = spec
        self._child: Child | None = None

    @property
    def name(self) -> str:
        return self._spec.program.name

    @property
    def port(self) -> int | None:
        return self._spec.port

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.is_running() else None

    def start(self) -> None:
        self.stop()
        self._child = Child.start(self._spec.program)

    def wait_ready(self, give_up: Event) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self._spec.health_url is not None and not is_healthy(self._spec.health_url):
            if not self.is_running() or time.monotonic() > deadline:
                raise self._failure()
            if give_up.wait(POLL_SECONDS):
                return

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop((signal.SIGTERM, self._spec.stop_seconds))
            self._child = None

    def _failure(self) -> PartFailed:
        what = "is not ready" if self.is_running() else "ended"
        tail = self._child.log_tail() if self._child is not None else ""
        return PartFailed(f"{self.name} {what}; the end of {self._spec.program.log}:\n{tail}")


def is_healthy(url: str) -> bool:
    """Whether a GET answers 200; no proxy of the environment stands between."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=HEALTH_TIMEOUT) as answer:  # loopback addresses made by the plan
            return answer.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False
