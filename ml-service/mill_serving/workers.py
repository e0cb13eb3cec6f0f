"""Several processes behind one port: starts them, replaces one that died, and passes on the signal to stop.

`__main__` runs the supervisor when `MILL_SERVING__WORKERS` is above 1. It answers no request and opens no package. Every worker
listens on the port itself (SO_REUSEPORT), so the kernel spreads connections. See docs/adr/0013-worker-processes-of-one-replica.md.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from mill_kit.logs import get_logger

_YOUNG_SECONDS = 5.0
_MOST_EARLY_DEATHS = 5
_LONGEST_PAUSE = 10.0
_ENDING = {signal.SIGTERM, signal.SIGINT}
_SIGNALS = {*_ENDING, signal.SIGCHLD}


@dataclass(frozen=True)
class Seat:
    """Which of how many workers a process is, counted from 0; `folder` is where workers leave their counts and hear each other."""

    number: int
    count: int
    folder: Path

    @property
    def cells(self) -> Path:
        return self.folder / f"{self.number}.cells"


@dataclass
class _Worker:
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    start_at: float = 0.0


@dataclass
class Supervisor:
    """`patience` is how long a worker may take to stop."""

    count: int
    host: str
    port: int
    patience: float
    _workers: list[_Worker] = field(default_factory=list[_Worker])
    _early_deaths: int = 0
    _stopping: int = 0

    def run(self) -> int:
        """Blocks until all workers have ended; the status is that of the process."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        reserve(self.host, self.port, shared=False).close()  # fails where another service has the port, shared or not
        held = reserve(self.host, self.port, shared=True)
        self.port = held.getsockname()[1]
        alive, leash = os.pipe()  # workers hold the reading end: it ends when this process does, however it does
        self._workers = [_Worker() for _ in range(self.count)]
        try:
            while not self._stopping and self._early_deaths < _MOST_EARLY_DEATHS:
                self._start_due(alive)
                self._hear(signal.sigtimedwait(_SIGNALS, 0.5))
                self._look()
            status = 0 if self._stopping else 1
            self._stop()
        finally:
            os.close(leash)
            held.close()
        return status

    def _start_due(self, alive: int) -> None:
        now = time.monotonic()
        for number, worker in enumerate(self._workers):
            if worker.process is None and worker.start_at <= now:
                worker.process = self._spawn(number, alive)
                worker.started = now

    def _spawn(self, number: int, alive: int) -> "subprocess.Popen[bytes]":
        place = ["--host", self.host, "--port", str(self.port), "--number", str(number), "--alive", str(alive)]
        command = [sys.executable, "-m", "mill_serving", "worker", *place]
        return subprocess.Popen(command, pass_fds=(alive,))

    def _look(self) -> None:
        for number, worker in enumerate(self._workers):
            status = worker.process.poll() if worker.process else None
            if status is None or worker.process is None:
                continue
            now = time.monotonic()
            early = now - worker.started < _YOUNG_SECONDS
            self._early_deaths = self._early_deaths + 1 if early else 0
            pause = min(0.5 * 2**self._early_deaths, _LONGEST_PAUSE) if early else 0.0
            worker.process, worker.start_at = None, now + pause
            get_logger().error("worker_died", worker=number, status=status, restarts_in_seconds=pause)

    def _hear(self, heard: "signal.struct_siginfo | None") -> None:
        """After a stop and a continue, sigtimedwait may hand out a signal that was never sent."""
        if heard is not None and heard.si_signo in _ENDING:
            self._stopping += 1

    def _stop(self) -> None:
        """Every further signal is passed on as well: a worker takes the second one as an order to end at once."""
        deadline, sent = time.monotonic() + self.patience, 0
        running = [worker.process for worker in self._workers if worker.process]
        while running:
            if sent < max(1, self._stopping):
                sent = max(1, self._stopping)
                for process in running:
                    process.terminate()
            self._hear(signal.sigtimedwait(_SIGNALS, 0.2))
            running = [process for process in running if process.poll() is None]
            if time.monotonic() > deadline:
                for process in running:
                    process.kill()


def reserve(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket. `shared`: other processes of this user may have the port too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind((host, port))
    return found


def unblock_signals() -> None:
    """In a worker: it inherits the supervisor's mask."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
