"""Writes the Grafana dashboards: `python monitoring/grafana/generate.py [--check]`. Change this file, never the JSON beside it.

Plain JSON of Grafana's schema 39. tests/stack asks that the files are current and that every metric in them exists.
"""

import json
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_COLUMNS, _HEIGHT = 3, 8
_SLOWEST = (
    "topk(5, histogram_quantile(0.95, sum by (le, method, route) "
    '(rate(http_request_duration_seconds_bucket{job="api-server"}[5m]))))'
)


@dataclass(frozen=True)
class Panel:
    """A graph, or with `now=True` one big number. `queries` maps a PromQL expression to its legend."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    now: bool = False
    explanation: str = ""


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    rows: dict[str, list[Panel]]

    def document(self) -> dict[str, Any]:
        return {
            "uid": f"modelmill-{self.uid}",
            "title": f"Modelmill: {self.title}",
            "tags": ["modelmill"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "panels": _panels(self.rows),
        }


def dashboards() -> list[Dashboard]:
    return [
        Dashboard("overview", "overview", {"Now": _now(), "Requests": _requests(), "Parts": _parts()}),
        Dashboard("predictions", "predictions", {"Models": _models(), "Packages": _packages(), "Routes": _routes()}),
        Dashboard("jobs", "jobs", {"Queues": _queues(), "Workers": _workers(), "Faults": _faults()}),
    ]


def _now() -> list[Panel]:
    return [
        Panel("Replicas of ml-service", {'count(up{job="ml-service"} == 1) or vector(0)': ""}, now=True),
        Panel("Jobs running", {'sum(mill_jobs{state="running"}) or vector(0)': ""}, now=True),
        Panel("Jobs queued", {'sum(mill_jobs{state="queued"}) or vector(0)': ""}, now=True),
    ]


def _requests() -> list[Panel]:
    return [
        Panel("Requests", {"sum by (job) (rate(http_requests_total[1m]))": "{{job}}"}, "reqps"),
        Panel(
            "Answered with 5xx",
            {
                'sum by (job) (rate(http_requests_total{status=~"5.."}[5m])) / sum by (job) (rate(http_requests_total[5m]))': "{{job}}"
            },
            "percentunit",
            explanation="The service level is 0.1 % over a month.",
        ),
        Panel(
            "Time to answer",
            {_quantile("http_request_duration_seconds", 0.5, "job"): "{{job}} half"}
            | {_quantile("http_request_duration_seconds", 0.99, "job"): "{{job}} 99 %"},
            "s",
        ),
        Panel("Being answered", {"sum by (job) (active_requests)": "{{job}}"}),
        Panel(
            "Slowest routes of the api-server",
            {_SLOWEST: "{{method}} {{route}}"},
            "s",
        ),
        Panel(
            "Refused (4xx)",
            {'sum by (job, status) (rate(http_requests_total{status=~"4.."}[5m]))': "{{job}} {{status}}"},
            "reqps",
        ),
    ]


def _parts() -> list[Panel]:
    return [
        Panel("Answers its scrape", {"min by (job, instance) (up)": "{{job}} {{instance}}"}),
        Panel("Checks", {"min by (job, check) (health_check_ok)": "{{job}} {{check}}"}),
        Panel("Alerts", {'sum by (alertname) (ALERTS{alertstate="firing"})': "{{alertname}}"}),
    ]


def _models() -> list[Panel]:
    return [
        Panel(
            "Predictions",
            {"topk(10, sum by (model) (rate(inference_requests_total[1m])))": "{{model}}"},
            "reqps",
        ),
        Panel("Rows", {"topk(10, sum by (model) (rate(inference_rows_total[1m])))": "{{model}}"}, "rowsps"),
        Panel(
            "Time to predict, 99 %",
            {"topk(10, " + _quantile("inference_duration_seconds", 0.99, "model") + ")": "{{model}}"},
            "s",
        ),
        Panel(
            "Not a success",
            {
                'topk(10, sum by (model, status) (rate(inference_requests_total{status!="success"}[5m])))': "{{model}} {{status}}"
            },
            "reqps",
        ),
        Panel("Blocks waiting or running", {"sum by (instance) (inference_lane_pending)": "{{instance}}"}),
        Panel(
            "Refused as too many",
            {"sum by (instance) (rate(inference_lane_refused_total[1m]))": "{{instance}}"},
            "reqps",
        ),
    ]


def _packages() -> list[Panel]:
    return [
        Panel(
            "Bytes of loaded packages",
            {"sum by (instance) (model_cache_bytes)": "{{instance}}", "max(model_cache_budget_bytes)": "budget"},
            "bytes",
        ),
        Panel("Loaded packages", {"sum by (instance) (model_cache_entries)": "{{instance}}"}),
        Panel(
            "Found loaded",
            {
                _share("model_cache"): "packages",
                _share("prediction_cache"): "answers",
            },
            "percentunit",
        ),
        Panel(
            "Loads",
            {
                "sum(rate(model_loads_total[5m]))": "loaded",
                "sum(rate(model_load_failures_total[5m]))": "failed",
                "sum(rate(model_cache_evictions_total[5m]))": "evicted",
            },
            "ops",
        ),
    ]


def _routes() -> list[Panel]:
    return [
        Panel(
            "Snapshot in force",
            {"max by (instance) (snapshot_number)": "{{instance}}"},
            explanation="All replicas follow within seconds.",
        ),
        Panel("Since a source confirmed it", {"max by (instance) (snapshot_age_seconds)": "{{instance}}"}, "s"),
        Panel("Snapshots refused", {"sum by (instance) (increase(snapshot_rejected_total[5m]))": "{{instance}}"}),
    ]


def _queues() -> list[Panel]:
    return [
        Panel(
            "Unended jobs", {'sum by (kind, state) (mill_jobs{state=~"waiting|queued|running"})': "{{kind}} {{state}}"}
        ),
        Panel("Oldest queued", {"max by (queue) (mill_jobs_oldest_queued_seconds)": "{{queue}}"}, "s"),
        Panel("Oldest by state", {"max by (kind, state) (mill_jobs_oldest_age_seconds)": "{{kind}} {{state}}"}, "s"),
        Panel("From queued to claimed", {"max(mill_jobs_claim_delay_seconds)": "mean of five minutes"}, "s"),
        Panel(
            "Ended jobs",
            {'sum by (kind, state) (mill_jobs{state=~"succeeded|failed|cancelled"})': "{{kind}} {{state}}"},
        ),
    ]


def _workers() -> list[Panel]:
    return [
        Panel(
            "Busy slots",
            {
                "max by (worker) (mill_worker_busy)": "{{worker}}",
                "max by (worker) (mill_worker_concurrency)": "{{worker}} slots",
            },
        ),
        Panel(
            "Since the last sign of life",
            {
                "max by (worker) (mill_worker_seen_age_seconds)": "{{worker}}",
                "min(mill_worker_sweep_age_seconds)": "last sweep",
            },
            "s",
        ),
        Panel("Since the last canary", {"max by (worker) (mill_worker_canary_age_seconds)": "{{worker}}"}, "s"),
    ]


def _faults() -> list[Panel]:
    return [
        Panel("Running without a lease", {"max(mill_jobs_lease_expired)": "jobs"}),
        Panel(
            "Leases expired, attempts refused",
            {
                "increase(mill_job_lease_expiries_total[15m])": "expired",
                "increase(mill_job_fencing_refusals_total[15m])": "refused",
            },
        ),
        Panel(
            "Wake-ups",
            {
                "sum(rate(mill_wakeups_sent_total[5m]))": "sent",
                "sum(rate(mill_wakeups_failed_total[5m]))": "failed",
                "sum(rate(mill_job_wakeups_resent_total[5m]))": "sent again",
            },
            "ops",
        ),
    ]


def _quantile(histogram: str, share: float, label: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {label}) (rate({histogram}_bucket[5m])))"


def _share(cache: str) -> str:
    """Of all look-ups, those that found something."""
    hits, misses = (f"sum(rate({cache}_{kind}_total[5m]))" for kind in ("hits", "misses"))
    return f"{hits} / ({hits} + {misses})"


def _panels(rows: dict[str, list[Panel]]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    numbers, top = count(1), 0
    for title, row in rows.items():
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        panels.append(
            {"id": next(numbers), "type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []}
        )
        top += 1
        for begin in range(0, len(row), _COLUMNS):
            line = row[begin : begin + _COLUMNS]
            height = _HEIGHT // 2 if all(panel.now for panel in line) else _HEIGHT
            width = 24 // _COLUMNS
            for column, panel in enumerate(line):
                place = {"x": column * width, "y": top, "w": width, "h": height}
                panels.append({"id": next(numbers), "gridPos": place, **_panel(panel)})
            top += height
    return panels


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend or "__auto", "datasource": _SOURCE}
        for place, (expression, legend) in enumerate(panel.queries.items())
    ]
    return {
        "type": "stat" if panel.now else "timeseries",
        "title": panel.title,
        "description": panel.explanation,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {} if panel.now else {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
    }


def files() -> dict[Path, str]:
    """What should be in the folder."""
    return {FOLDER / f"{one.uid}.json": json.dumps(one.document(), indent=2) + "\n" for one in dashboards()}


def main() -> int:
    wanted = files()
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
        if stale:
            sys.stderr.write(f"stale: {', '.join(stale)}; run python monitoring/grafana/generate.py\n")
        return 1 if stale else 0
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
