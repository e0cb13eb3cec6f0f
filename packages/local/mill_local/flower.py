"""Flower, Celery's console, on the broker of a running stack. `modelmill flower` keeps it until Ctrl-C or the stack's end."""

import secrets
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from mill_local.errors import PartFailed, StackDown
from mill_local.home import Home, StackState, read_state
from mill_local.ports import LOOPBACK, preferred_port
from mill_local.process import Child, Program, plain_environment
from mill_local.valkey import ValkeyServer

FLOWER_PORT = 5555
USER = "admin"
READY_SECONDS = 30.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Flower:
    """A running console; its password is new at each start and kept nowhere."""

    home: Home
    child: Child
    url: str
    password: str

    def wait(self) -> None:
        """Until the stack has stopped. Raises `PartFailed` when Flower ends by itself."""
        while read_state(self.home) is not None:
            if self.child.wait(POLL_SECONDS):
                raise PartFailed(f"Flower ended; the end of {self.child.program.log}:\n{self.child.log_tail()}")


@contextmanager
def running_flower(home: Home, state: StackState, host: str = LOOPBACK, port: int = FLOWER_PORT) -> Generator[Flower]:
    """On `port`, or the next free one. Raises `PartFailed` when it does not answer."""
    chosen, password = preferred_port(port, host), secrets.token_urlsafe(18)
    program = Program(
        name="flower",
        argv=[sys.executable, "-m", "mill_api", "flower", "--host", host, "--port", str(chosen)],
        log=home.log("flower"),
        environment=plain_environment(MILL_BROKER__URL=_broker_url(home, state), MILL_FLOWER_PASSWORD=password),
        cwd=home.root,
    )
    child = Child.start(program)
    try:
        url = f"http://{host}:{chosen}"
        _wait_ready(child, url)
        yield Flower(home, child, url, password)
    finally:
        child.stop((signal.SIGTERM, 5.0))


def _broker_url(home: Home, state: StackState) -> str:
    port = next((part.port for part in state.parts if part.name == "broker"), None)
    if port is None:
        raise StackDown("the broker of the stack does not run; `modelmill status` shows its parts")
    return ValkeyServer(home.root / "broker", port=port).url


def _wait_ready(child: Child, url: str) -> None:
    """It answers, and asks who is there."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not child.wait(POLL_SECONDS):
        try:
            urllib.request.urlopen(url, timeout=2)  # noqa: S310 - our own address
        except urllib.error.HTTPError as refusal:
            if refusal.code == 401:
                return
        except OSError:
            continue
    raise PartFailed(f"Flower did not start; the end of {child.program.log}:\n{child.log_tail()}")
