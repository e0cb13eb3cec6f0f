"""What an attempt says: stage, progress and lines, kept until the next heartbeat takes them; every line also in a file.

The file becomes the object `jobs/<id>/<token>/log.txt`; Postgres keeps the last lines only. Both are bounded.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mill_contracts.wire import LogLine, Progress, Stage

from mill_api.jobs.ending import storable
from mill_api.jobs.leases import News

_TAIL = 50
_LINES_PER_BEAT = 200
_LINES_IN_EVENTS = 5_000
_LONGEST = 2_000
_FILE_BYTES = 64 * 2**20


class Journal:
    """`on_news` is called when something is there to be taken. Used from one event loop."""

    def __init__(self, path: Path, on_news: Callable[[], None]) -> None:
        self._file = path.open("w", encoding="utf-8", errors="replace")
        self._room = _FILE_BYTES
        self._on_news = on_news
        self._progress: float | None = None
        self._stage: str | None = None
        self._told: tuple[float | None, str | None] = (None, None)
        self._lines: deque[dict[str, Any]] = deque(maxlen=_LINES_PER_BEAT)
        self._tail: deque[dict[str, Any]] = deque(maxlen=_TAIL)
        self._events_left = _LINES_IN_EVENTS

    def hear(self, message: Stage | Progress | LogLine) -> None:
        if isinstance(message, Stage):
            self._stage = storable(message.stage[:100])
        elif isinstance(message, Progress):
            self._progress = round(message.fraction, 3)
        else:
            self._add(message.level, message.message)
        self._on_news()

    def output(self, line: str) -> None:
        """A line of the child's standard output or error."""
        self._add("output", line)
        self._on_news()

    def note(self, line: str) -> None:
        """A line of the worker's own."""
        self._add("info", line)

    def take(self) -> News:
        """What is new since the last call."""
        progress, stage = self._progress, self._stage
        lines = tuple(self._lines) if self._events_left > 0 else ()
        self._events_left -= len(lines)
        self._lines.clear()
        changed = (progress, stage) != self._told
        self._told = (progress, stage)
        return News(progress if changed else None, stage if changed else None, lines, tuple(self._tail))

    @property
    def last_words(self) -> str:
        """The end of the child's output, for the problem of a crash."""
        return " | ".join(line["message"] for line in list(self._tail)[-5:] if line["level"] == "output")[-500:]

    def close(self) -> None:
        self._file.close()

    def _add(self, level: str, message: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        clean = storable(message[:_LONGEST])
        line = {"at": moment, "level": level, "message": clean}
        self._lines.append(line)
        self._tail.append(line)
        written = f"{moment} {level:<7} {message}\n"
        self._room -= len(written)
        if self._room > 0:
            self._file.write(written)
