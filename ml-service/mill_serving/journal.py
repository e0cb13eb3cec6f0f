"""The last predictions of each workspace in Redis: sampled or profiled, written off the path, and off unless asked for.

The engine notes; the background task writes; `doors.pool` reads. An entry says who was asked and what it cost, never inputs.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mill_serving.errors import JournalUnavailable, RecordNotFound
from mill_serving.performance import TRANSACTION, Transaction, Watch
from mill_serving.snapshot.line import Away, RedisLine
from mill_serving.targets import Target

_PREFIX = "mill:predictions:"
_RECORD = "mill:performance:"
_MOST_WAITING = 1000
_WRITE_SECONDS = 0.25
_AT_ONCE = 500
_encode = msgspec.json.Encoder().encode

Noted = tuple[str, dict[str, Any]]


@dataclass
class Journal:
    """`every`: one of so many predictions is noted, 0 for none. `kept`: entries per workspace, `record_seconds`: how long each alone.

    `profiling`: whether those who may deploy may ask for a profile.
    """

    line: RedisLine | None
    every: int
    kept: int
    record_seconds: int = 3600
    profiling: bool = False
    written: int = 0
    lost: int = 0
    _seen: int = 0
    _waiting: deque[Noted] = field(default_factory=deque[Noted])
    _profiler: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_next(self) -> bool:
        """Whether the next prediction is one to be noted."""
        return self.every > 0 and (self._seen + 1) % self.every == 0

    def pass_by(self) -> None:
        """A prediction was made that is not noted."""
        self._seen += 1

    def watch(self) -> Watch | None:
        """On the event loop, before each prediction: how this one is measured, None where it is not."""
        transaction = TRANSACTION.get()
        self._seen += 1
        if transaction is not None and transaction.profiled_for is not None:
            transaction.watch = Watch(transaction, self._profiler)
            return transaction.watch
        if not self.every or self._seen % self.every:
            return None
        return Watch(transaction or Transaction(secrets.token_hex(12), time.perf_counter()))

    def note(self, target: Target, watch: Watch, rows: int, *, cached: bool = False) -> None:
        """A watched prediction was made."""
        if self.line is None or len(self._waiting) >= _MOST_WAITING:
            self.lost += 1
            return
        about = {
            "at": time.time(),
            "model_id": target.model_id,
            "model_name": target.name,
            "version": target.version,
            "rows": rows,
            "cached": cached,
        }
        self._waiting.append((watch.transaction.profiled_for or _owner(target), {**about, **watch.figures()}))

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

    async def record(self, workspace: str, transaction: str) -> Any:
        """One of them. Raises `RecordNotFound`, `JournalUnavailable`."""
        with _reported():
            found = await self._line().get(f"{_RECORD}{workspace}:{transaction}")
        if found is None:
            raise RecordNotFound(transaction)
        return msgspec.json.decode(found)

    async def length(self, workspace: str) -> int:
        with _reported():
            return await self._line().length(_PREFIX + workspace)

    async def clear(self, workspace: str) -> None:
        """Records of entries that fell off the list's end end with their time."""
        with _reported():
            entries = await self._line().newest(_PREFIX + workspace, self.kept)
            ids = [msgspec.json.decode(entry)["transaction_id"] for entry in entries]
            keys = [f"{_RECORD}{workspace}:{transaction}" for transaction in ids]
            for start in range(0, len(keys), _AT_ONCE):
                await self._line().delete(*keys[start : start + _AT_ONCE])
            await self._line().delete(_PREFIX + workspace)

    async def _write(self, line: RedisLine) -> None:
        batches: dict[str, list[dict[str, Any]]] = {}
        while self._waiting:
            owner, entry = self._waiting.popleft()
            batches.setdefault(owner, []).append(entry)
        for owner, entries in batches.items():
            records = {f"{_RECORD}{owner}:{entry['transaction_id']}": _encode(entry) for entry in entries}
            brief = [
                _encode({name: value for name, value in entry.items() if name != "top_functions"}) for entry in entries
            ]
            try:
                await line.push(_PREFIX + owner, brief, self.kept)
                await line.set_all(records, self.record_seconds)
                self.written += len(entries)
            except Away:
                self.lost += len(entries)

    def _line(self) -> RedisLine:
        if self.line is None:
            raise JournalUnavailable
        return self.line


@contextlib.contextmanager
def _reported() -> Generator[None]:
    try:
        yield
    except Away as error:
        raise JournalUnavailable from error


def _owner(target: Target) -> str:
    return str(target.workspace_id) if target.workspace_id is not None else "shared"
