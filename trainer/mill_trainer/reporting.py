"""The trainer's side of the pipe: every verb tells the worker its stage, true progress and log lines through a `Report`.

The worker reads `mill_contracts.wire` messages, one JSON object per line. Progress is thinned out here, so that a fit
of ten thousand rounds does not become ten thousand rows of events.
"""

import os
import time
from collections.abc import Callable
from typing import Literal, Protocol

from mill_contracts.wire import LogLine, Message, Progress, Stage

Level = Literal["debug", "info", "warning", "error"]

PROGRESS_INTERVAL_SECONDS = 0.25
LONGEST_LOG_MESSAGE = 2_000


class Report(Protocol):
    """What a verb may say while it works. It never fails a task for want of a listener's attention."""

    def stage(self, stage: str) -> None:
        """A new stage begins; a word for people, such as `reading`."""
        ...

    def progress(
        self, fraction: float, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        """True progress of the whole task, 0 to 1; may be called as often as convenient."""
        ...

    def log(self, message: str, level: Level = "info") -> None:
        """One line for the job's log."""
        ...


class PipeReport:
    """Writes messages on a file descriptor; progress at most four times a second, but always a new stage's first."""

    def __init__(self, descriptor: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._next_progress = 0.0

    def stage(self, stage: str) -> None:
        self.send(Stage(stage=stage))
        self._next_progress = 0.0

    def progress(
        self, fraction: float, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        now = self._clock()
        if now < self._next_progress and fraction < 1.0:
            return
        self._next_progress = now + PROGRESS_INTERVAL_SECONDS
        bounded = min(max(fraction, 0.0), 1.0)
        self.send(Progress(fraction=bounded, done=done, total=total, unit=unit))

    def log(self, message: str, level: Level = "info") -> None:
        self.send(LogLine(level=level, message=message[:LONGEST_LOG_MESSAGE]))

    def send(self, message: Message) -> None:
        """Write one line whole: a line longer than the pipe's buffer arrives in several writes."""
        line = memoryview(message.model_dump_json().encode() + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]


class SilentReport:
    """For callers who do not listen: tests, notebooks, benchmarks."""

    def stage(self, stage: str) -> None: ...

    def progress(
        self, fraction: float, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None: ...

    def log(self, message: str, level: Level = "info") -> None: ...
