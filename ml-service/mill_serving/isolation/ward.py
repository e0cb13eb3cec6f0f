"""The processes of uploaded models: how many there may be, which of them rest, what happens when one crashes.

`PackageFolder` asks for a model's engine, the engine object for refusals and pardons. A process belongs to one loaded package: it
starts with the first question and ends when it is idle, when room is needed, or with the package.
"""

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mill_kit.logs import get_logger
from mill_pack import Engine, Manifest
from mill_pack.engines import Shape

from mill_serving.errors import ModelCrashed, ModelSuspended, ModelUnavailable, Overloaded
from mill_serving.isolation.engine import ExplainingIsolatedEngine, IsolatedEngine
from mill_serving.isolation.process import PROGRAM, ModelProcess, NotConfined, ProcessEnded
from mill_serving.isolation.records import CrashRecords

_STARTING_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_EXPLAINED = frozenset({"forest", "linear"})
"""Engines whose contributions are our own code; those of libraries are not asked for a stranger's model (LightGBM #7357)."""


@dataclass(frozen=True)
class Bounds:
    """`memory_bytes` for each process, beyond its code and its model; `seconds` for each answer."""

    processes: int = 8
    memory_bytes: int = 512 << 20
    seconds: float = 10.0
    idle_seconds: float = 300.0


@dataclass(frozen=True)
class _Wanted:
    """What a process is started with. `file` is open as long as the package is loaded, whatever becomes of its name."""

    version_id: str
    file: int
    kind: str
    payload_bytes: int


@dataclass
class Ward:
    """`on_crash` is told, in a thread, of every crash here: the version and the reason. `program` is what a process runs."""

    bounds: Bounds
    records: CrashRecords
    program: Sequence[str] = PROGRAM
    on_crash: Callable[[str, str], None] = lambda _version_id, _reason: None
    _rooms: "weakref.WeakSet[_Room]" = field(default_factory=lambda: weakref.WeakSet["_Room"]())
    _leaving: list[ModelProcess] = field(default_factory=list[ModelProcess])
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _closed: bool = False
    crashes: int = 0

    def engine(self, manifest: Manifest, path: Path, shape: Shape, version_id: str) -> Engine:
        """Nothing is started yet. Raises `OSError`."""
        payload_bytes = sum(file.size for file in manifest.engine.files)
        kind = manifest.engine.kind
        room = _Room(self, _Wanted(version_id, os.open(path, os.O_RDONLY), kind, payload_bytes))
        engine = (ExplainingIsolatedEngine if kind in _EXPLAINED else IsolatedEngine)(
            room, shape.outputs, payload_bytes
        )
        with self._lock:
            self._rooms.add(room)
        weakref.finalize(engine, room.close)
        return engine

    @property
    def running(self) -> int:
        return sum(room.is_running for room in self._all())

    def pids(self) -> Mapping[str, int]:
        """Of the processes that run, by model version."""
        found = {room.wanted.version_id: room.pid for room in self._all()}
        return {version_id: pid for version_id, pid in found.items() if pid is not None}

    async def check(self) -> None:
        """For the health routes. Raises `ModelSuspended` where any model is."""
        for reason in self.records.suspended().values():
            raise ModelSuspended(reason)

    async def run(self) -> None:
        """For ever: let those rest that nobody asks."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """End what is idle, and wait for what was ended."""
        deadline = time.monotonic() - self.bounds.idle_seconds
        for room in self._all():
            if room.is_running and room.used < deadline:
                room.rest()
        with self._lock:
            leaving, self._leaving = self._leaving, []
        for process in leaving:
            process.bury()

    def close(self) -> None:
        """End all of them; what ends now has not crashed."""
        self._closed = True
        for room in self._all():
            room.leave()
        self.look()

    def start(self, wanted: _Wanted) -> ModelProcess:
        """Raises `Overloaded` where all processes there may be are busy, `ModelUnavailable` where none can be made."""
        with self._lock:
            self._make_room()
            memory = self.bounds.memory_bytes + 3 * wanted.payload_bytes
            try:
                return ModelProcess.start(wanted.file, wanted.kind, memory, self.program)
            except OSError as error:
                raise ModelUnavailable(f"no process could be started for it: {error.strerror}") from error

    def dismiss(self, process: ModelProcess) -> None:
        """Kill it now, and wait for its end when there is time."""
        process.kill()
        with self._lock:
            self._leaving.append(process)

    def crashed(self, version_id: str, reason: str) -> None:
        """Raises `ModelSuspended` where that was once too often."""
        if self._closed:
            return
        self.crashes += 1
        suspended = self.records.note(version_id, reason)
        get_logger().error("uploaded_model_crashed", version_id=version_id, reason=reason, suspended=suspended)
        self.on_crash(version_id, reason)
        self.records.refuse(version_id)

    def _make_room(self) -> None:
        running = [room for room in self._all() if room.is_running]
        if len(running) < self.bounds.processes:
            return
        for room in sorted(running, key=lambda one: one.used):
            if room.rest():
                return
        raise Overloaded

    def _all(self) -> "list[_Room]":
        with self._lock:
            return list(self._rooms)


class _Room:
    """A loaded package's place for a process. Asked by one thread; looked after, and emptied, by others."""

    def __init__(self, ward: Ward, wanted: _Wanted) -> None:
        self.wanted = wanted
        self.used = 0.0
        self._ward = ward
        self._process: ModelProcess | None = None
        self._busy = threading.Lock()

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    def ask(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """The process' answer. Raises `ModelCrashed`, `ModelSuspended`, `ModelUnavailable`, `Overloaded`."""
        version_id = self.wanted.version_id
        self._ward.records.refuse(version_id)
        with self._busy:
            process = self._living()
            try:
                answer = process.ask(head, body, self._ward.bounds.seconds)
            except ProcessEnded as ended:
                raise self._crashed(str(ended)) from ended
            self.used = time.monotonic()
            return answer

    def broke_the_rules(self) -> Exception:
        """What it answered cannot be: as bad as a crash."""
        with self._busy:
            return self._crashed("it answered something that makes no sense")

    def rest(self) -> bool:
        """End the process unless it is busy."""
        if not self._busy.acquire(blocking=False):
            return False
        try:
            self.leave()
        finally:
            self._busy.release()
        return True

    def leave(self) -> None:
        """End the process, busy or not."""
        process, self._process = self._process, None
        if process is not None:
            self._ward.dismiss(process)

    def close(self) -> None:
        """For good: nobody can ask any more."""
        self.leave()
        os.close(self.wanted.file)

    def _living(self) -> ModelProcess:
        if self._process is not None and not self._process.is_alive:
            process, self._process = self._process, None
            process.bury()
            self._ward.crashed(
                self.wanted.version_id, str(process.ending())
            )  # while nobody asked: the next one answers
        process = self._process
        if process is None:
            process = self._process = self._ward.start(self.wanted)
            self.used = time.monotonic()
            try:
                refused = process.await_ready(_STARTING_SECONDS)
            except NotConfined as error:
                self.leave()
                raise ModelUnavailable(
                    f"{error}, and uploaded models are served in no other way (MILL_SERVING__ISOLATE_UPLOADED)"
                ) from error
            except ProcessEnded as ended:
                raise self._crashed(str(ended)) from ended
            if refused is not None:
                self.leave()
                raise ModelUnavailable(refused)
        return process

    def _crashed(self, reason: str) -> Exception:
        """`ModelCrashed`; raises `ModelSuspended`."""
        self.leave()
        self._ward.crashed(self.wanted.version_id, reason)
        return ModelCrashed(reason)
