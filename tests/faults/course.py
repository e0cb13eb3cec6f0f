"""What one run is given, and what it gives back: shared by the runner, the experiments and the short tests."""

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.promises import Figure, Promise, Result, commit, now, read_promises

Say = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """One run: its seed, its share of the full number of trials, and a folder of its own for logs and data. `part`: of
    an experiment that has parts, which one; all without it."""

    seed: int
    scale: float
    folder: Path
    say: Say = print
    hours: float = 4.0
    part: str = ""
    began: float = field(default_factory=time.monotonic)

    def left(self, share: float) -> float:
        """Seconds of a share of the hours that are left, counted from the start; at least one."""
        return max(1.0, self.began + share * self.hours * 3600 - time.monotonic())

    def random(self, name: str) -> random.Random:
        """The same course of events for the same seed, whatever other experiments draw."""
        return random.Random(f"{self.seed}:{name}")  # noqa: S311 - reproducible on purpose

    def trials(self, number: int, least: int = 1) -> int:
        return max(least, round(self.promise(number).full * self.scale))

    @staticmethod
    def promise(number: int) -> Promise:
        return next(one for one in read_promises() if one.number == number)


@dataclass
class Trial:
    """A result in the making: opened before the first trial, closed with `result` after the last."""

    course: Course
    number: int
    title: str
    began: float = field(default_factory=time.monotonic)
    started: str = field(default_factory=now)

    def result(
        self, trials: int, failures: int, figures: Mapping[str, Figure] | None = None, notes: str = ""
    ) -> Result:
        promise = self.course.promise(self.number)
        return Result(
            promise=self.number,
            title=self.title,
            trials=trials,
            failures=failures,
            seed=self.course.seed,
            started=self.started,
            seconds=round(time.monotonic() - self.began, 1),
            commit=commit(),
            command=f"make test-faults ONLY={self.number} SCALE={self.course.scale:g} SEED={self.course.seed}",
            figures={**(figures or {}), "load average at the end": round(os.getloadavg()[0], 1)},
            full=promise.full,
            notes=notes,
        )


Experiment = Callable[[Course], list[Result]]
