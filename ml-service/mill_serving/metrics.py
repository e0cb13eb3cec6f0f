"""Prometheus families made of the plain counters when somebody scrapes: the hot path pays nothing for them."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mill_serving.engine import Engine


@dataclass(frozen=True, eq=False)
class EngineCollector(Collector):
    """Labels are bounded: at most 200 models, routes by template, status codes."""

    engine: Engine

    def collect(self) -> Iterator[Metric]:
        yield from self._http()
        yield from self._inference()
        yield from self._cache()
        yield from self._snapshot()

    def _http(self) -> Iterator[Metric]:
        statistics = self.engine.statistics
        requests = CounterMetricFamily("http_requests", "Requests answered", labels=["method", "route", "status"])
        for (method, route, status), count in list(statistics.requests.items()):
            requests.add_metric([method, route, str(status)], count)
        yield requests
        durations = HistogramMetricFamily("http_request_duration_seconds", "Time to answer", labels=["method", "route"])
        for (method, route), histogram in list(statistics.durations.items()):
            durations.add_metric([method, route], histogram.cumulative(), histogram.total)
        yield durations
        yield GaugeMetricFamily("active_requests", "Requests being answered now", statistics.active)

    def _inference(self) -> Iterator[Metric]:
        models = list(self.engine.statistics.models.items())
        requests = CounterMetricFamily("inference_requests", "Predictions asked for", labels=["model", "status"])
        rows = CounterMetricFamily("inference_rows", "Rows predicted", labels=["model"])
        durations = HistogramMetricFamily("inference_duration_seconds", "Time to predict, one call", labels=["model"])
        for label, counters in models:
            requests.add_metric([label, "success"], counters.success)
            requests.add_metric([label, "invalid"], counters.invalid)
            requests.add_metric([label, "failed"], counters.failed)
            rows.add_metric([label], counters.rows)
            durations.add_metric([label], counters.histogram.cumulative(), counters.histogram.total)
        yield from (requests, rows, durations)
        lane = self.engine.lane
        yield GaugeMetricFamily("inference_lane_pending", "Block predictions running or waiting", lane.pending)
        yield CounterMetricFamily("inference_lane_refused", "Predictions refused as too many", lane.refused)

    def _cache(self) -> Iterator[Metric]:
        registry, answers = self.engine.registry, self.engine.answers
        yield GaugeMetricFamily("model_cache_bytes", "Bytes of loaded packages", registry.bytes)
        yield GaugeMetricFamily("model_cache_budget_bytes", "Bytes loaded packages may take", registry.budget)
        yield GaugeMetricFamily("model_cache_entries", "Loaded packages", len(registry))
        counts = registry.counts
        yield CounterMetricFamily("model_cache_hits", "Calls that found their package loaded", counts.hits)
        yield CounterMetricFamily("model_cache_misses", "Calls that had to wait for a load", counts.misses)
        yield CounterMetricFamily("model_cache_evictions", "Packages evicted for room", counts.evictions)
        yield CounterMetricFamily("model_loads", "Packages loaded", counts.loads)
        yield CounterMetricFamily("model_load_failures", "Packages that could not be loaded", counts.failures)
        yield CounterMetricFamily("prediction_cache_hits", "Rows answered from the cache", answers.hits)
        yield CounterMetricFamily("prediction_cache_misses", "Rows looked up in vain", answers.misses)
        yield GaugeMetricFamily("prediction_cache_entries", "Answers kept", len(answers))

    def _snapshot(self) -> Iterator[Metric]:
        keeper = self.engine.keeper
        yield GaugeMetricFamily("snapshot_number", "Number of the routing snapshot in force", keeper.number)
        yield CounterMetricFamily("snapshot_rejected", "Snapshots refused: unsigned or invalid", keeper.rejected)
        if keeper.in_force is not None:
            yield GaugeMetricFamily("snapshot_age_seconds", "Time since a source confirmed it", keeper.age_seconds)
