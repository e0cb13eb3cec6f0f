"""A whole stack to be harmed: real processes under their supervisor, a proxy before each server, every part within reach of a signal."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from mill_local.home import Home, StackState, read_state
from mill_local.ports import free_port
from mill_local.postgres import PostgresServer
from mill_local.process import wait_until_gone
from redis import Redis

from tests.faults.proxy import Proxy
from tests.faults.supervise import faketime_library

SERVERS = ("postgres", "broker", "cache")
START_SECONDS, STOP_SECONDS = 180.0, 90.0
QUICK = {
    "MILL_WORKER__LEASE_SECONDS": "6",
    "MILL_WORKER__HEARTBEAT_SECONDS": "1",
    "MILL_WORKER__SWEEP_SECONDS": "1",
    "MILL_WORKER__RETRY_SECONDS": "0.5",
}
"""The ledger five to fifteen times quicker than in production: more faults in the same time."""


@dataclass
class Cluster:
    """A running stack and its proxies. Parts may be dead at any moment: asking for their process waits for the restart."""

    home: Home
    api_url: str
    serving_url: str
    proxies: Mapping[str, Proxy]
    clock: Path | None = None
    frozen: set[int] = field(default_factory=set[int])

    def state(self) -> StackState:
        state = read_state(self.home)
        if state is None:
            raise ChildProcessError(f"the supervisor is gone: see {self.home.log('supervisor')}")
        return state

    def pid(self, part: str) -> int:
        """Its process, as soon as it has one."""
        found: list[int] = []

        def known() -> bool:
            found[:] = [one.pid for one in self.state().parts if one.name == part and one.pid is not None]
            return bool(found)

        until(known, 60, f"{part} has a process")
        return found[0]

    def signal(self, part: str, which: signal.Signals) -> int:
        """What was hit; a process that has gone meanwhile is no error."""
        pid = self.pid(part)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, which)
        return pid

    def kill(self, part: str) -> int:
        """kill -9. The launcher may still stand before the part itself: then it is the launcher that dies."""
        return self.signal(part, signal.SIGKILL)

    def freeze(self, part: str) -> int:
        pid = self.signal(part, signal.SIGSTOP)
        self.frozen.add(pid)
        return pid

    def thaw(self) -> None:
        for pid in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.frozen.clear()

    def heal(self) -> None:
        """Everything may run again, and knows what time it is."""
        self.thaw()
        self.set_clock(0)
        for proxy in self.proxies.values():
            proxy.weather.clear()

    def trainers(self) -> dict[int, str]:
        """The trainer processes of this stack's workers, by process id, with their command lines; not the runners above them."""
        return {
            pid: line
            for pid, line in processes(str(self.home.root)).items()
            if "mill_trainer" in line and "--task" in line and "runner" not in line
        }

    def query(self, sql: str) -> Any:
        """One JSON value from the real database, past every proxy, as its superuser."""
        port = next(one.port for one in self.state().parts if one.name == "postgres")
        text = PostgresServer(self.home.root / "postgres", port=port).psql("--command", sql, database="modelmill")
        return json.loads(text) if text else None

    def flush(self, name: str) -> None:
        """FLUSHALL: everything in it is gone."""
        with self.redis(name) as server:
            server.execute_command("FLUSHALL")  # pyright: ignore[reportUnknownMemberType] - the client is partly untyped

    def redis(self, name: str) -> "Redis":
        """Past every proxy."""
        port = next(one.port for one in self.state().parts if one.name == name)
        password = (self.home.root / name / "secrets" / "valkey").read_text().strip()
        return Redis(host="127.0.0.1", port=int(port or 0), password=password, socket_timeout=5)

    def set_clock(self, seconds: int) -> bool:
        """Put the services' clocks so far ahead, or back; the servers keep theirs. False where clocks cannot be put."""
        if self.clock is not None:
            self.clock.write_text(f"{seconds:+d}\n")
        return self.clock is not None

    def limit_files(self, part: str, size: int | None) -> None:
        """Let the part write no file beyond `size`: what a full disk is to it, without filling anybody else's. None lifts it."""
        _, hard = resource.prlimit(self.pid(part), resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid(part), resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def ready(self, seconds: float = 60) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{self.api_url}/health/ready", timeout=3).status_code == 200
            except httpx.HTTPError:
                return False

        until(answers, seconds, "the api-server is ready")


@contextmanager
def cluster(
    folder: Path, environment: Mapping[str, str] | None = None, *, proxied: bool = True, clocked: bool = False
) -> Generator[Cluster]:
    """Start it with these `MILL_…` settings over the quick ones; stopped afterwards whatever happened.

    `proxied`: its lines can be harmed. `clocked`: its clocks can be put, where libfaketime is installed.
    """
    home = Home(folder / "home")
    home.folder("logs")
    proxies = {name: Proxy(lambda name=name: _port(home, name)) for name in SERVERS} if proxied else {}
    ports = (free_port(), free_port())
    given = {**os.environ, "MILL_LIMITS__ENABLED": "false", **QUICK, **(environment or {})}
    given["FAULTS_PROXIES"] = json.dumps({name: proxy.port for name, proxy in proxies.items()})
    clock = folder / "clock" if clocked and faketime_library() else None
    if clock is not None:
        clock.write_text("+0\n")
        given["FAULTS_CLOCK"] = str(clock)
    command = [sys.executable, "-m", "tests.faults.supervise", str(home.root), *map(str, ports)]
    with home.log("supervisor").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], env=given, stdout=log, stderr=log, start_new_session=True
        )
    made: Cluster | None = None
    try:
        state = _wait_until_ready(home, process)
        made = Cluster(home, state.api_url, state.serving_url, proxies, clock)
        yield made
    finally:
        if made is not None:
            made.heal()
        _stop(process)
        for proxy in proxies.values():
            proxy.close()


def _wait_until_ready(home: Home, process: "subprocess.Popen[bytes]") -> StackState:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        state = read_state(home)
        if state is not None and state.state == "ready":
            return state
        time.sleep(0.1)
    raise ChildProcessError("the stack did not start:\n" + home.log("supervisor").read_text(errors="replace")[-3000:])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        wait_until_gone(process.pid, "", 1)


def _port(home: Home, name: str) -> int | None:
    """Where the server listens now; known as soon as the supervisor has started it."""
    try:
        parts = json.loads(home.state_file.read_text())["parts"]
    except (OSError, ValueError, KeyError):
        return None
    return next((one["port"] for one in parts if one["name"] == name), None)


def processes(text: str) -> dict[int, str]:
    """The command lines that contain `text`, by process id."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if text in line:
                    found[int(folder.name)] = line
    return found


def until(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.1) -> float:
    """How long it took. Raises `TimeoutError` naming what did not happen."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(every)
    return time.monotonic() - began
