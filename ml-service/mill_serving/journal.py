"""The last predictions of each workspace, on a capped Redis list: sampled, written off the path, and off unless asked for.

The engine notes; the background task writes; `doors.pool` reads. An entry says who was asked and how long it took, never inputs.
"""

import asyncio
import contextlib
import resource
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mill_serving.errors import JournalUnavailable
from mill_serving.snapshot.line import Away, RedisLine
from mill_serving.targets import Target

_PREFIX = "mill:predictions:"
_MOST_WAITING = 1000
_WRITE_SECONDS = 0.25
_encode = msgspec.json.Encoder().encode

Noted = tuple[str, dict[str, Any]]


@dataclass
class Journal:
    """`every`: one of so many predictions is noted, 0 for none. `kept`: entries per workspace."""

    line: RedisLine | None
    every: int
    kept: int
    written: int = 0
    lost: int = 0
    _seen: int = 0
    _waiting: deque[Noted] = field(default_factory=deque[Noted])

    def note(self, target: Target, begun: float, rows: int) -> None:
        """On the event loop, in less than a microsecond where this prediction is not sampled."""
        self._seen += 1
        if not self.every or self._seen % self.every:
            return
        if self.line is None or len(self._waiting) >= _MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append((_owner(target), self._entry(target, begun, rows)))

    async def run(self) -> None:
        """For ever: write what was noted. What Redis does not take is lost, and counted."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            if self._waiting and self.line is not None:
                await self._write(self.line)

    async def read(self, workspace: str, limit: int) -> list[Any]:
        """The newest first. Raises `JournalUnavailable`."""
        with _reported():
            return [msgspec.json.decode(entry) for entry in await self._line().newest(_PREFIX + workspace, limit)]

    async def length(self, workspace: str) -> int:
        with _reported():
            return await self._line().length(_PREFIX + workspace)

    async def clear(self, workspace: str) -> None:
        with _reported():
            await self._line().delete(_PREFIX + workspace)

    async def _write(self, line: RedisLine) -> None:
        batches: dict[str, list[bytes]] = {}
        while self._waiting:
            owner, entry = self._waiting.popleft()
            batches.setdefault(owner, []).append(_encode(entry))
        for owner, entries in batches.items():
            try:
                await line.push(_PREFIX + owner, entries, self.kept)
                self.written += len(entries)
            except Away:
                self.lost += len(entries)

    def _entry(self, target: Target, begun: float, rows: int) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "at": time.time(),
            "model_id": target.model_id,
            "model_name": target.name,
            "version": target.version,
            "rows": rows,
            "latency_ms": round((time.perf_counter() - begun) * 1e3, 4),
            "process_cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "process_memory_peak_bytes": usage.ru_maxrss * 1024,
        }

    def _line(self) -> RedisLine:
        if self.line is None:
            raise JournalUnavailable
        return self.line


@contextlib.contextmanager
def _reported() -> Any:
    try:
        yield
    except Away as error:
        raise JournalUnavailable from error


def _owner(target: Target) -> str:
    return str(target.workspace_id) if target.workspace_id is not None else "shared"
