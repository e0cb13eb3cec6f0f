"""Prometheus families made of the plain counters when somebody scrapes: the hot path pays nothing for them."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mill_serving.engine import Engine
from mill_serving.statistics import Together

_COUNTERS = {
    "inference_lane_refused": "Predictions refused as too many",
    "inference_lane_dropped": "Predictions dropped: too late, or the client had left",
    "inference_lane_done": "Predictions the lane has run",
    "inference_lane_busy_seconds": "Time the lane's threads were busy",
    "model_cache_hits": "Calls that found their package loaded",
    "model_cache_misses": "Calls that had to wait for a load",
    "model_cache_evictions": "Packages evicted for room",
    "model_loads": "Packages loaded",
    "model_load_waiting_refused": "Calls refused because too many wait for a package",
    "open_requests_refused": "Requests refused because too many are being answered",
    "model_load_failures": "Packages that could not be loaded",
    "prediction_cache_hits": "Rows answered from the cache",
    "prediction_cache_misses": "Rows looked up in vain",
    "shared_prediction_cache_hits": "Rows answered from the cache in Redis",
    "shared_prediction_cache_misses": "Rows looked up in Redis in vain",
    "shared_prediction_cache_failures": "Times Redis did not answer in time; then nobody asks it until it answers again",
    "isolated_model_crashes": "Processes of uploaded models that died, hung or spoke nonsense",
    "journal_written": "Predictions noted in Redis",
    "journal_lost": "Predictions that were to be noted and were not: Redis was away or slow",
}
_GAUGES = {
    "active_requests": "Requests being answered now",
    "inference_lane_pending": "Block predictions running or waiting",
    "inference_lane_running": "Block predictions running now",
    "inference_lane_threads": "Threads that predict blocks",
    "isolated_model_processes": "Processes of uploaded models that run now",
    "isolated_models_suspended": "Uploaded models suspended after crashes, counted in every worker that knows of it",
    "model_load_waiting": "Calls that wait for a package to be loaded",
    "model_cache_bytes": "Bytes of loaded packages, of all workers",
    "model_cache_budget_bytes": "Bytes loaded packages may take on this host, of all workers",
    "model_cache_entries": "Loaded packages, each counted in every worker that holds it",
    "prediction_cache_entries": "Answers kept",
    "workers": "Processes that answer for this replica",
}


@dataclass(frozen=True, eq=False)
class EngineCollector(Collector):
    """Labels are bounded: at most 200 models, routes by template, status codes. Worker processes are added up."""

    engine: Engine

    def collect(self) -> Iterator[Metric]:
        counted = self.engine.census.take()
        yield from _http(counted)
        yield from _inference(counted)
        yield from _published(counted)
        yield from self._snapshot()

    def _snapshot(self) -> Iterator[Metric]:
        keeper = self.engine.keeper
        yield GaugeMetricFamily("snapshot_number", "Number of the routing snapshot in force", keeper.number)
        yield CounterMetricFamily("snapshot_rejected", "Snapshots refused: unsigned or invalid", keeper.rejected)
        if keeper.in_force is not None:
            yield GaugeMetricFamily("snapshot_age_seconds", "Time since a source confirmed it", keeper.age_seconds)


def _http(counted: Together) -> Iterator[Metric]:
    requests = CounterMetricFamily("http_requests", "Requests answered", labels=["method", "route", "status"])
    for (method, route, status), count in counted.requests.items():
        requests.add_metric([method, route, str(status)], count)
    yield requests
    durations = HistogramMetricFamily("http_request_duration_seconds", "Time to answer", labels=["method", "route"])
    for (method, route), histogram in counted.durations.items():
        durations.add_metric([method, route], histogram.cumulative(), histogram.total)
    yield durations


def _inference(counted: Together) -> Iterator[Metric]:
    requests = CounterMetricFamily("inference_requests", "Predictions asked for", labels=["model", "status"])
    rows = CounterMetricFamily("inference_rows", "Rows predicted", labels=["model"])
    durations = HistogramMetricFamily("inference_duration_seconds", "Time to predict, one call", labels=["model"])
    for label, view in counted.models.items():
        counters = view.counts
        requests.add_metric([label, "success"], counters.success)
        requests.add_metric([label, "invalid"], counters.invalid)
        requests.add_metric([label, "failed"], counters.failed)
        rows.add_metric([label], counters.rows)
        durations.add_metric([label], counters.histogram.cumulative(), counters.histogram.total)
    yield from (requests, rows, durations)


def _published(counted: Together) -> Iterator[Metric]:
    for name, text in _COUNTERS.items():
        yield CounterMetricFamily(name, text, counted.published.get(name, 0.0))
    for name, text in _GAUGES.items():
        yield GaugeMetricFamily(name, text, counted.published.get(name, 0.0))
