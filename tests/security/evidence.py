"""What a run of the attacks showed, kept where docs/reliability.md is computed from.

`MILL_TEST_LONG=1` (`make test-security`) runs the long forms and keeps their results; without it the short, seeded forms run and
nothing is written.
"""

import os
import time
from dataclasses import dataclass, field

from tests.faults.promises import ROOT as ROOT
from tests.faults.promises import Figure, Result, commit, now, write_result

LONG = os.environ.get("MILL_TEST_LONG") == "1"
SEED = int(os.environ.get("MILL_TEST_SEED", "20261120"))


def sized(short: int, long: int) -> int:
    """How many trials this run makes."""
    return long if LONG else short


@dataclass
class Evidence:
    """Counts trials and failures of one promise; `tests` under tests/security repeat it, `full` is what the promise asks."""

    promise: int
    title: str
    tests: str
    full: int = 0
    seed: int = SEED
    trials: int = 0
    failures: int = 0
    figures: dict[str, Figure] = field(default_factory=dict[str, Figure])
    notes: str = ""
    started: str = field(default_factory=now)
    _clock: float = field(default_factory=time.monotonic)

    def count(self, *, failed: bool = False, trials: int = 1) -> None:
        self.trials += trials
        self.failures += failed

    def keep(self) -> None:
        if LONG:
            write_result(
                Result(
                    promise=self.promise,
                    title=self.title,
                    trials=self.trials,
                    failures=self.failures,
                    seed=self.seed,
                    started=self.started,
                    seconds=round(time.monotonic() - self._clock, 1),
                    commit=commit(),
                    command=f"make test-security ARGS=tests/security/{self.tests}",
                    figures=self.figures,
                    full=self.full,
                    notes=self.notes,
                )
            )
