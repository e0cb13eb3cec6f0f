"""The promises and what is known of them: read by the runner and by `table.py`, which writes docs/reliability.md.

A state is computed: *reached* by enough clean trials, *bounded* by fewer, *not held* by any failure, *open* without a result.
"""

import json
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results"
Figure = str | int | float | bool


class State(StrEnum):
    REACHED = "reached"
    BOUNDED = "bounded"
    NOT_HELD = "not held"
    OPEN = "open"


@dataclass(frozen=True)
class Promise:
    """One row of the table. `full` 0: every case there is must be tried, so one clean run is enough. `counted_by` names the
    variable that tells a test how many trials to make.

    `parts` names the runs of a promise that takes several, by title, and the full number of each; one that is missing keeps
    the promise from being reached.

    `short_of` says what of the figure the runs leave out: such a promise is bounded at best. `missing` says what an untried one waits for.
    """

    number: int
    promise: str
    test: str
    figure: str
    full: int
    unit: str
    tests: tuple[str, ...] = ()
    parts: Mapping[str, int] = field(default_factory=dict[str, int])
    repeat: int = 1
    counted_by: str = ""
    needs: str = ""
    short_of: str = ""
    missing: str = ""

    def needed(self, result: "Result") -> int:
        """Clean trials that this run needs. A run that could not try everything asks more of itself, never less."""
        return max(self.parts.get(result.title, 0 if self.parts else self.full), result.full)

    def untried(self, results: Sequence["Result"]) -> list[str]:
        tried = {one.title for one in results if one.trials}
        return [title for title in self.parts if title not in tried]


@dataclass(frozen=True)
class Result:
    """What one run found. `full` is what the run asks of itself (`Promise.needed` decides); `notes` help to judge the figures."""

    promise: int
    title: str
    trials: int
    failures: int
    seed: int
    started: str
    seconds: float
    commit: str
    command: str
    figures: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    full: int = 0
    notes: str = ""

    @property
    def state(self) -> State:
        """By its own count, as the runner says it while it goes on."""
        return self.judged(self.full)

    def judged(self, needed: int) -> State:
        if self.failures:
            return State.NOT_HELD
        if self.trials == 0:
            return State.OPEN
        return State.REACHED if self.trials >= needed else State.BOUNDED

    @property
    def bound(self) -> float:
        """The rate of failures is below this with 95 % confidence: the rule of three. 1 where nothing was tried."""
        return min(1.0, 3 / self.trials) if self.trials else 1.0


def read_promises(path: Path = HERE / "promises.toml") -> list[Promise]:
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["promise"]
    for row in rows:
        row["tests"] = tuple(row.get("tests", ()))
    return [Promise(**row) for row in rows]


def read_results(folder: Path = RESULTS) -> dict[int, list[Result]]:
    """By promise; one with several files is as good as the worst of them."""
    found: dict[int, list[Result]] = {}
    for path in sorted(folder.glob("*.json")):
        result = Result(**json.loads(path.read_text("utf-8")))
        found.setdefault(result.promise, []).append(result)
    return found


def write_result(result: Result, folder: Path = RESULTS) -> Path:
    """As `results/<promise>-<title>.json`: a new run of the same title takes the place of the older one."""
    folder.mkdir(parents=True, exist_ok=True)
    slug = "-".join("".join(letter if letter.isalnum() else " " for letter in result.title.lower()).split())
    path = folder / f"{result.promise:02d}-{slug}.json"
    path.write_text(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path


def state_of(promise: Promise, results: Sequence[Result]) -> State:
    order = (State.NOT_HELD, State.OPEN, State.BOUNDED, State.REACHED)
    states = [result.judged(promise.needed(result)) for result in results]
    worst = min(states, key=order.index, default=State.OPEN)
    short = bool(promise.short_of or promise.untried(results))
    return State.BOUNDED if worst is State.REACHED and short else worst


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit() -> str:
    """The short name of the commit that was tried; empty outside a clone."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
