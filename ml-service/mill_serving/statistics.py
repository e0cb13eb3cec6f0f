"""Counters of the hot path: plain numbers, added up when somebody asks. `/stats` and `/metrics` read them."""

import math
import time
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

from mill_kit.http.metrics import BUCKETS

from mill_serving.targets import Target

_RING = 1024
_MOST_MODELS = 200
_RECENT_SECONDS = 60.0
OTHER = "other"


class Histogram:
    """Counts per bucket of `BUCKETS`, the last one for everything longer."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus wants them: `(le, count)`, ending with +Inf."""
        found: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip([*BUCKETS, math.inf], self.counts, strict=True):
            running += count
            found.append(("+Inf" if bound == math.inf else str(bound), float(running)))
        return found


class ModelCounters:
    """One model: outcomes, rows, and the last 1,024 durations with the moments they ended."""

    __slots__ = ("_durations", "_ended", "_position", "cached", "failed", "histogram", "invalid", "rows", "success")

    def __init__(self) -> None:
        self.success = self.invalid = self.failed = self.rows = self.cached = 0
        self.histogram = Histogram()
        self._durations = array("d")
        self._ended = array("d")
        self._position = 0

    @property
    def requests(self) -> int:
        return self.success + self.invalid + self.failed

    def succeed(self, begun: float, rows: int) -> None:
        now = time.perf_counter()
        seconds = now - begun
        self.success += 1
        self.rows += rows
        self.histogram.observe(seconds)
        if len(self._durations) < _RING:
            self._durations.append(seconds)
            self._ended.append(now)
        else:
            self._durations[self._position] = seconds
            self._ended[self._position] = now
            self._position = (self._position + 1) % _RING

    def refuse(self, status: int) -> None:
        if status < 500:
            self.invalid += 1
        else:
            self.failed += 1

    def quantiles_ms(self) -> dict[str, float | None]:
        """Of the last 1,024 successes."""
        ordered = sorted(self._durations)
        last = len(ordered) - 1
        return {
            name: round(ordered[round(last * share)] * 1e3, 4) if ordered else None
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }

    def recent_per_second(self) -> float:
        """Successes per second over the last minute, or over what the ring remembers of it."""
        now = time.perf_counter()
        recent = [ended for ended in self._ended if now - ended <= _RECENT_SECONDS]
        if not recent:
            return 0.0
        full = len(self._ended) == _RING and len(recent) == _RING
        span = now - min(recent) if full else _RECENT_SECONDS
        return round(len(recent) / max(span, 1e-3), 3)


@dataclass
class Statistics:
    """All counters of this process. Models beyond the first 200 share one entry, so that metrics stay bounded."""

    started: float = field(default_factory=time.monotonic)
    active: int = 0
    models: dict[str, ModelCounters] = field(default_factory=dict[str, ModelCounters])
    requests: dict[tuple[str, str, int], int] = field(default_factory=dict[tuple[str, str, int], int])
    durations: dict[tuple[str, str], Histogram] = field(default_factory=dict[tuple[str, str], Histogram])

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self.started

    def of(self, target: Target) -> ModelCounters:
        label = target.label
        counters = self.models.get(label)
        if counters is None:
            if len(self.models) >= _MOST_MODELS:
                label = OTHER
            counters = self.models.setdefault(label, ModelCounters())
        return counters

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        histogram = self.durations.get((method, route))
        if histogram is None:
            histogram = self.durations[(method, route)] = Histogram()
        histogram.observe(seconds)
