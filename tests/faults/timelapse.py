"""A real Prometheus on the shipped rules, told quicker: used by the experiment of promise 37.

Durations of a rule (how long it waits, over which time it looks, the age at which it minds) are divided by its factor, everything else is
as shipped. Scrapes come every half a second instead of every ten.
"""

import json
import re
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from mill_local.ports import free_port

from tests.faults.cluster import until
from tests.faults.promises import ROOT

RULES = ROOT / "monitoring" / "prometheus" / "rules"
USUAL = 30.0
FACTORS: Mapping[str, float] = {
    "JobsWaitTooLong": 90.0,
    "SnapshotIsOld": 300.0,
    "ErrorBudgetBurns": 360.0,
    "ErrorBudgetShrinks": 3600.0,
}
"""Rules that look at hours or days need a larger one."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")
_RANGE = re.compile(r"\[(\d+[smhd])(?::(\d+[smhd]))?\]")
_AGE = re.compile(r"(_seconds\)? > )(\d+)(?![.\d])")
_RECORDED = re.compile(r"\b(job:http_\w+:\w+?)(5m|30m|1h|6h|3d)\b")
_LEAST = 3.0
"""Seconds: below this a rate sees too few scrapes."""


def seconds(duration: str) -> float:
    found = _DURATION.fullmatch(duration)
    assert found, duration
    return int(found[1]) * _UNITS[found[2]]


def quicker(rule: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The rule with every duration divided."""

    def shorter(duration: str) -> str:
        return f"{max(_LEAST, seconds(duration) / factor) * 1000:.0f}ms"

    def within(found: re.Match[str]) -> str:
        return f"[{shorter(found[1])}:500ms]" if found[2] else f"[{shorter(found[1])}]"

    expression = _RANGE.sub(within, rule["expr"])
    expression = _AGE.sub(lambda found: f"{found[1]}{int(found[2]) / factor:g}", expression)
    told = {**rule, "expr": expression}
    return told | ({"for": f"{seconds(rule['for']) / factor * 1000:.0f}ms"} if "for" in rule else {})


def inlined(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Alerts with the recorded ratios written out, so that each is quickened by its own factor."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}

    def written_out(found: re.Match[str]) -> str:
        return f"({recorded[found[0]]})"

    return [{**rule, "expr": _RECORDED.sub(written_out, rule["expr"])} for rule in rules if "alert" in rule]


def shipped() -> list[dict[str, Any]]:
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return inlined([rule for group in groups for rule in group["rules"]])


@dataclass
class Watch:
    """A running Prometheus. `fired` keeps what was ever seen firing, with the seconds since `begin`."""

    url: str
    began: float = field(default_factory=time.monotonic)
    fired: dict[str, float] = field(default_factory=dict[str, float])

    def begin(self) -> None:
        self.began = time.monotonic()
        self.fired.clear()

    def look(self) -> dict[str, float]:
        answer = httpx.get(f"{self.url}/api/v1/alerts", timeout=5, trust_env=False).raise_for_status().json()
        for alert in answer["data"]["alerts"]:
            if alert["state"] == "firing":
                self.fired.setdefault(alert["labels"]["alertname"], time.monotonic() - self.began)
        return self.fired

    def firing(self) -> set[str]:
        """What fires at this moment."""
        answer = httpx.get(f"{self.url}/api/v1/alerts", timeout=5, trust_env=False).raise_for_status().json()
        return {one["labels"]["alertname"] for one in answer["data"]["alerts"] if one["state"] == "firing"}


@contextmanager
def prometheus(program: str, folder: Path, targets: Mapping[str, list[str]]) -> Generator[Watch]:
    """Scrapes `targets` (job to addresses) until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    rules = [quicker(rule, FACTORS.get(rule["alert"], USUAL)) for rule in shipped()]
    group = {"name": "all", "interval": "500ms", "rules": rules}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}, allow_unicode=True))
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": places}]} for job, places in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    command = [
        *(program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--query.lookback-delta=3s", "--log.level=warn"),
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        watch = Watch(f"http://127.0.0.1:{port}")
        until(lambda: _ready(watch.url), 30, "Prometheus is ready")
        yield watch
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
