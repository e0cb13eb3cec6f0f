"""What one prediction costs: measured for those the journal samples, and for callers who ask for a profile of theirs.

A door says which transaction a task answers (`TRANSACTION`); the engine asks the journal whether it is watched, and lets a watched
one's work be measured. Nothing is measured otherwise.
"""

import cProfile
import os
import pstats
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from mill_serving.errors import InvalidRequest, ProfilerBusy

T = TypeVar("T")
HEADER = b"x-profile"
_MOST_FUNCTIONS = 15
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Timed = tuple[int, int, float, float, object]
"""As `pstats` has them: primitive calls, calls, own seconds, seconds with what it called, callers."""


@dataclass(slots=True)
class Transaction:
    """A request from its arrival. `profiled_for`: the workspace whose member asked for a profile, and may."""

    id: str
    begun: float
    profiled_for: str | None = None
    watch: "Watch | None" = None

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the answer says of a profiled one."""
        if self.profiled_for is None or self.watch is None:
            return ()
        latency = (time.perf_counter() - self.begun) * 1e3
        timing = f"inference;dur={self.watch.inference_ms}, cpu;dur={self.watch.cpu_ms}, total;dur={latency:.4f}"
        return (b"x-transaction-id", self.id.encode()), (b"server-timing", timing.encode())


TRANSACTION: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


@dataclass(slots=True)
class Watch:
    """The figures of one transaction; `lock` is held while it is profiled: one at a time in a process."""

    transaction: Transaction
    lock: "threading.Lock | None" = None
    inference_ms: float = 0.0
    cpu_ms: float = 0.0
    memory_bytes: int = 0
    memory_delta_bytes: int = 0
    function_calls: int | None = None
    top_functions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def around(self, work: Callable[[], T]) -> Callable[[], T]:
        """The same work, measured. CPU time is of the thread that does it. Raises `ProfilerBusy`."""

        def measured() -> T:
            profiler = None if self.lock is None else _profiler(self.lock)
            before, begun, cpu = resident_bytes(), time.perf_counter(), time.thread_time()
            try:
                return work() if profiler is None else profiler.runcall(work)
            finally:
                self.cpu_ms = round((time.thread_time() - cpu) * 1e3, 4)
                self.inference_ms = round((time.perf_counter() - begun) * 1e3, 4)
                self.memory_bytes = resident_bytes()
                self.memory_delta_bytes = self.memory_bytes - before
                if profiler is not None and self.lock is not None:
                    self.lock.release()
                    self.function_calls, self.top_functions = _told(profiler)

        return measured

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "transaction_id": self.transaction.id,
            "latency_ms": round((time.perf_counter() - self.transaction.begun) * 1e3, 4),
            "inference_ms": self.inference_ms,
            "cpu_ms": self.cpu_ms,
            "memory_bytes": self.memory_bytes or resident_bytes(),
            "memory_delta_bytes": self.memory_delta_bytes,
        }
        if self.function_calls is not None:
            found |= {"function_calls": self.function_calls, "top_functions": self.top_functions}
        return found


def is_asked(value: bytes) -> bool:
    """What the header says. Raises `InvalidRequest`."""
    if value not in (b"", b"0", b"1"):
        raise InvalidRequest("X-Profile must be 1, for a profile of this request, or 0")
    return value == b"1"


def resident_bytes() -> int:
    """Memory of this process."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - a third of the time of Path
        return int(file.read().split()[1]) * _PAGE_BYTES


def _profiler(lock: threading.Lock) -> cProfile.Profile:
    if not lock.acquire(blocking=False):
        raise ProfilerBusy
    return cProfile.Profile()


def _told(profiler: cProfile.Profile) -> tuple[int, list[dict[str, Any]]]:
    """How many calls, and the functions most of the time went to, by their own time."""
    stats = cast("dict[tuple[str, int, str], Timed]", pstats.Stats(profiler).stats)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    slowest = sorted(stats.items(), key=lambda item: item[1][2], reverse=True)[:_MOST_FUNCTIONS]
    functions = [
        {
            "function": _named(*where),
            "calls": timed[1],
            "own_ms": round(timed[2] * 1e3, 4),
            "total_ms": round(timed[3] * 1e3, 4),
        }
        for where, timed in slowest
    ]
    return sum(timed[1] for timed in stats.values()), functions


def _named(file: str, line: int, function: str) -> str:
    """`mill_pack/package.py:120 predict_one`; where a file lies on this host is nobody's business."""
    return function if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} {function}"
