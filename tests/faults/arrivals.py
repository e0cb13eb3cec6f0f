"""An open load: requests leave at moments fixed beforehand, whatever became of those before them, and are timed from there.

A closed loop waits while the service does, and so never sees how long others would have waited. `experiments/load.py` uses this.
"""

import asyncio
import contextlib
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np

_PATIENCE = 30.0
_TICK = 0.001
_END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Arrivals:
    """What became of an open load. Times are in seconds: `due` from its start, `took` from then, of accepted requests alone."""

    offered: int = 0
    due: "array[float]" = field(default_factory=lambda: array("d"))
    took: "array[float]" = field(default_factory=lambda: array("d"))
    answered: "array[float]" = field(default_factory=lambda: array("d"))
    """How long accepted ones took from when they were sent: without what they waited for a free connection."""
    refusals: "array[float]" = field(default_factory=lambda: array("d"))
    """How long refusals took, from when they were sent."""
    statuses: Counter[str] = field(default_factory=Counter[str])
    without_return: int = 0
    """Refusals that do not say when to come back."""

    def p(self, percent: float, first: float = 0.0, last: float = float("inf")) -> float:
        """A percentile of those due between two moments; 0 where there were none."""
        due, took = np.frombuffer(self.due), np.frombuffer(self.took)
        chosen = took[(due >= first) & (due < last)]
        return float(np.percentile(chosen, percent)) if len(chosen) else 0.0

    @property
    def accepted(self) -> int:
        return self.statuses[str(int(HTTPStatus.OK))]


@dataclass
class _Course:
    request: bytes
    found: Arrivals
    began: float
    ends: float = 0.0
    """A closed loop asks again until then."""
    waiting: "deque[float]" = field(default_factory=deque[float])
    idle: "list[_Line]" = field(default_factory=list["_Line"])

    all_answered: asyncio.Event = field(default_factory=asyncio.Event)

    def dispatch(self) -> None:
        while self.waiting and self.idle:
            self.idle.pop().ask(self.waiting.popleft())


class _Line(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, course: _Course) -> None:
        self._course = course
        self._held = b""
        self._due = self._sent = 0.0
        self._is_asked = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._course.idle.append(self)

    def ask(self, due: float) -> None:
        self._due, self._sent, self._is_asked = due, time.perf_counter(), True
        self.transport.write(self._course.request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(_END_OF_HEAD)
        if end < 0:
            return
        head = self._held[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self._held) >= end + len(_END_OF_HEAD) + length:
            self._held = b""
            self._note(head)

    def _note(self, head: bytes) -> None:
        now, found, course = time.perf_counter(), self._course.found, self._course
        status = head[9:12].decode()
        found.statuses[status] += 1
        if status == "200":
            found.due.append(self._due - course.began)
            found.took.append(now - self._due)
            found.answered.append(now - self._sent)
        elif status in ("429", "503"):
            found.refusals.append(now - self._sent)
            found.without_return += int(b"\r\nretry-after: " not in head)
        self._is_asked = False
        if now < course.ends:
            found.offered += 1
            self.ask(now)
            return
        course.idle.append(self)
        course.dispatch()
        if found.statuses.total() >= found.offered:
            course.all_answered.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_asked:
            self._course.found.statuses["connection lost"] += 1
        if self in self._course.idle:
            self._course.idle.remove(self)


async def offer(address: tuple[str, int], request: bytes, rate: float, seconds: float, connections: int) -> Arrivals:
    """`rate` requests a second for so long, over so many connections; then wait until all are answered, or half a minute."""
    loop, found = asyncio.get_running_loop(), Arrivals()
    course = _Course(request, found, time.perf_counter())
    lines = [(await loop.create_connection(lambda: _Line(course), *address))[1] for _ in range(connections)]
    course.began = time.perf_counter()
    while (now := time.perf_counter()) < course.began + seconds:
        while found.offered < (now - course.began) * rate:
            course.waiting.append(course.began + found.offered / rate)
            found.offered += 1
        course.dispatch()
        await asyncio.sleep(_TICK)
    await _close(course, lines)
    found.statuses["without an answer"] += found.offered - found.statuses.total()
    return found


async def keep_asking(address: tuple[str, int], request: bytes, seconds: float, connections: int) -> Arrivals:
    """A closed loop: each connection sends its next request when it is answered. It finds what the service can do at most."""
    loop, found = asyncio.get_running_loop(), Arrivals()
    course = _Course(request, found, time.perf_counter())
    lines = [(await loop.create_connection(lambda: _Line(course), *address))[1] for _ in range(connections)]
    course.began = time.perf_counter()
    course.ends = course.began + seconds
    found.offered = len(lines)
    for line in lines:
        line.ask(course.began)
    course.idle.clear()
    await asyncio.sleep(seconds)
    await _close(course, lines)
    return found


async def _close(course: _Course, lines: "Sequence[_Line]") -> None:
    """When all is answered, or nobody can be expected to wait longer."""
    if course.found.statuses.total() < course.found.offered:
        course.all_answered.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(course.all_answered.wait(), _PATIENCE)
    for line in lines:
        line.transport.close()
