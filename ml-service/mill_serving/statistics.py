"""Counters of the hot path: plain numbers, added up when somebody asks. `/stats` and `/metrics` read them.

With several worker processes each counts in cells of its own that the others can read; `together` adds them up.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mill_kit.http.metrics import BUCKETS

from mill_serving.cells import Cell, Cells
from mill_serving.errors import Overloaded
from mill_serving.targets import Target

_BUCKETS = len(BUCKETS) + 1
_SIZE = _BUCKETS + 1
_RING = 1024
_MOST_MODELS = 200
_RECENT_SECONDS = 60.0
OTHER = "other"

_SUCCESS, _INVALID, _FAILED, _ROWS, _CACHED, _HISTOGRAM = range(6)
_DURATIONS = _HISTOGRAM + _SIZE
_ENDED = _DURATIONS + _RING
_MODEL_SIZE = _ENDED + _RING


class Histogram:
    """Counts per bucket of `BUCKETS`, then one for everything longer, then the sum of all durations."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @property
    def total(self) -> float:
        return self.cell[_BUCKETS]

    def observe(self, seconds: float) -> None:
        cell = self.cell
        cell[bisect_left(BUCKETS, seconds)] += 1
        cell[_BUCKETS] += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus wants them: `(le, count)`, ending with +Inf."""
        found: list[tuple[str, float]] = []
        running = 0.0
        for bound, count in zip([*BUCKETS, math.inf], self.cell, strict=False):
            running += count
            found.append(("+Inf" if bound == math.inf else str(bound), running))
        return found


class ModelCounters:
    """One model: outcomes, rows, and the last 1,024 durations with the moments they ended."""

    __slots__ = ("_cell", "_position")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._position = 0

    @property
    def success(self) -> int:
        return int(self._cell[_SUCCESS])

    @property
    def invalid(self) -> int:
        return int(self._cell[_INVALID])

    @property
    def failed(self) -> int:
        return int(self._cell[_FAILED])

    @property
    def rows(self) -> int:
        return int(self._cell[_ROWS])

    @property
    def cached(self) -> int:
        return int(self._cell[_CACHED])

    @property
    def requests(self) -> int:
        return self.success + self.invalid + self.failed

    @property
    def histogram(self) -> Histogram:
        return Histogram(self._cell[_HISTOGRAM:_DURATIONS])

    def succeed(self, begun: float, rows: int) -> None:
        now = time.perf_counter()
        self.note(now - begun, now, bisect_left(BUCKETS, now - begun), rows)

    def note(self, seconds: float, now: float, bucket: int, rows: int) -> None:
        """A success whose bucket is known already."""
        cell, position = self._cell, self._position
        cell[_SUCCESS] += 1
        cell[_ROWS] += rows
        cell[_HISTOGRAM + bucket] += 1
        cell[_HISTOGRAM + _BUCKETS] += seconds
        cell[_DURATIONS + position] = seconds
        cell[_ENDED + position] = now
        self._position = (position + 1) % _RING

    def remember(self) -> None:
        """A success that was answered from the prediction cache."""
        self._cell[_CACHED] += 1

    def refuse(self, status: int) -> None:
        self._cell[_INVALID if status < 500 else _FAILED] += 1

    def recent(self) -> list[tuple[float, float]]:
        """(moment of the end, seconds) of what the ring remembers."""
        ended, durations = self._cell[_ENDED:], self._cell[_DURATIONS:_ENDED]
        return [pair for pair in zip(ended, durations, strict=True) if pair[0]]

    def add(self, other: "ModelCounters") -> None:
        """Counts only; rings are merged by `ModelView`."""
        for number in range(_DURATIONS):
            self._cell[number] += other._cell[number]


class ModelView:
    """One model over all workers."""

    def __init__(self, parts: list[ModelCounters]) -> None:
        self.counts = ModelCounters(_fresh(_MODEL_SIZE))
        self._recent: list[tuple[float, float]] = []
        self._ring = _RING * len(parts)
        for part in parts:
            self.counts.add(part)
            self._recent += part.recent()

    def quantiles_ms(self) -> dict[str, float | None]:
        """Of the last 1,024 successes of each worker."""
        ordered = sorted(seconds for _, seconds in self._recent)
        last = len(ordered) - 1
        return {
            name: round(ordered[round(last * share)] * 1e3, 4) if ordered else None
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }

    def recent_per_second(self) -> float:
        """Successes per second over the last minute, or over what the rings remember of it."""
        now = time.perf_counter()
        recent = [ended for ended, _ in self._recent if now - ended <= _RECENT_SECONDS]
        if not recent:
            return 0.0
        full = len(recent) == self._ring
        span = now - min(recent) if full else _RECENT_SECONDS
        return round(len(recent) / max(span, 1e-3), 3)


@dataclass(frozen=True)
class Together:
    """The counters of all workers, added up."""

    models: Mapping[str, ModelView]
    requests: Mapping[tuple[str, str, int], float]
    durations: Mapping[tuple[str, str], Histogram]
    published: Mapping[str, float]


class RouteCounters:
    """One method and route: answers by status, and how long they took."""

    __slots__ = ("_cells", "_name", "durations", "ok", "statuses")

    def __init__(self, cells: Cells, name: str) -> None:
        self._cells = cells
        self._name = name
        self.durations = cells.group(f"durations {name}", _SIZE)
        self.statuses: dict[int, Cell] = {}
        self.ok = self.status(200)

    def status(self, status: int) -> Cell:
        known = self.statuses.get(status)
        if known is None:
            known = self.statuses[status] = self._cells.group(f"answers {status} {self._name}", 1)
        return known

    def answered(self, status: int, seconds: float) -> None:
        self.status(status)[0] += 1
        self.durations[bisect_left(BUCKETS, seconds)] += 1
        self.durations[_BUCKETS] += seconds

    def note_ok(self, seconds: float, bucket: int) -> None:
        """A 200 whose bucket is known already."""
        self.ok[0] += 1
        self.durations[bucket] += 1
        self.durations[_BUCKETS] += seconds


@dataclass
class Statistics:
    """All counters of this process. Models beyond the first 200 share one entry, so that metrics stay bounded."""

    cells: Cells = field(default_factory=Cells)
    started: float = field(default_factory=time.monotonic)
    active: int = 0
    refused: int = 0
    models: dict[str, ModelCounters] = field(default_factory=dict[str, ModelCounters])
    routes: dict[tuple[str, str], RouteCounters] = field(default_factory=dict[tuple[str, str], RouteCounters])
    _before: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self.started

    def refuse_beyond(self, limit: int) -> None:
        """Raises `Overloaded` when more requests than that are being answered, this one among them."""
        if self.active > limit:
            self.refused += 1
            raise Overloaded

    def of(self, target: Target) -> ModelCounters:
        counters = self.models.get(target.label)
        return counters if counters is not None else self._new(target.label)

    def route(self, method: str, route: str) -> RouteCounters:
        counters = self.routes.get((method, route))
        if counters is None:
            counters = self.routes[(method, route)] = RouteCounters(self.cells, f"{method} {route}")
        return counters

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self.route(method, route).answered(status, seconds)

    def publish(self, counters: Mapping[str, float], gauges: Mapping[str, float]) -> None:
        """Numbers kept elsewhere in this process, for the other workers to read. Counters go on from a worker that died."""
        for name, value in counters.items():
            cell = self.cells.group(f"counter {name}", 1)
            cell[0] = self._before.setdefault(name, cell[0]) + value
        for name, value in gauges.items():
            self.cells.group(f"gauge {name}", 1)[0] = value

    def _new(self, label: str) -> ModelCounters:
        if len(self.models) >= _MOST_MODELS:
            label = OTHER
        known = self.models.get(label)
        if known is None:
            known = self.models[label] = ModelCounters(self.cells.group(f"model {label}", _MODEL_SIZE))
        return known


def together(workers: Iterable[Mapping[str, Cell]]) -> Together:
    """Add up what each worker counted."""
    models: dict[str, list[ModelCounters]] = {}
    requests: dict[tuple[str, str, int], float] = {}
    durations: dict[tuple[str, str], Histogram] = {}
    published: dict[str, float] = {}
    for groups in workers:
        for name, cell in list(groups.items()):
            kind, _, rest = name.partition(" ")
            if kind == "model":
                models.setdefault(rest, []).append(ModelCounters(cell))
            elif kind == "answers" and cell[0]:
                status, method, route = rest.split(" ", 2)
                key = (method, route, int(status))
                requests[key] = requests.get(key, 0.0) + cell[0]
            elif kind == "durations" and any(cell):
                method, _, route = rest.partition(" ")
                _add(durations.setdefault((method, route), Histogram(_fresh(_SIZE))).cell, cell)
            elif kind in {"counter", "gauge"}:
                published[rest] = published.get(rest, 0.0) + cell[0]
    views = {label: ModelView(parts) for label, parts in models.items()}
    return Together(views, requests, durations, published)


def _add(into: Cell, cell: Cell) -> None:
    for number, value in enumerate(cell):
        into[number] += value


def _fresh(size: int) -> Cell:
    return memoryview(bytearray(8 * size)).cast("d")
