"""Alerts fire when they should, and every metric that an alert or a dashboard names is one that the services have."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app as create_control_plane
from mill_api.db.schema import migrate
from mill_api.settings import Settings
from mill_api.testing import register, settings_for
from mill_kit import signing
from mill_local.testing import DatabaseMaker, fresh_database, postgres_server, valkey_server
from mill_local.valkey import ValkeyServer
from mill_serving.app import create_app as create_data_plane
from mill_serving.settings import Settings as DataPlaneSettings
from starlette.types import ASGIApp

__all__ = ["fresh_database", "postgres_server", "valkey_server"]

OF_PROMETHEUS = {"up", "ALERTS"}
SUFFIXES = re.compile(r"_(bucket|count|sum)$")
ROW = {"feature1": 1.0, "feature2": 2.0, "feature3": 3.0, "feature4": 4.0}


def metrics_of(expression: str) -> set[str]:
    """The names of time series in a PromQL expression; recorded ones have a colon."""
    bare = re.sub(r'"[^"]*"|\'[^\']*\'', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w|\s*\()", bare)
    return {word for word in words if word not in {"and", "or", "unless", "bool", "by", "on"} and not word.isdigit()}


def rules(root: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((root / "monitoring/prometheus/rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def dashboards(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((root / "monitoring/grafana/dashboards").glob("*.json")):
        yield path, json.loads(path.read_text())


def expressions(root: Path) -> Iterator[tuple[str, str]]:
    for rule in rules(root):
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path, board in dashboards(root):
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", target["expr"]


@dataclass(frozen=True)
class Exposed:
    """What each service's /metrics said."""

    control_plane: str
    data_plane: str


@pytest.fixture(scope="module")
async def metrics(
    root: Path,
    fresh_database: DatabaseMaker,
    valkey_server: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exposed:
    """Both services on one store: the snapshot that a new API key brings about is in force, and one row was predicted."""
    folder, database = tmp_path_factory.mktemp("services"), fresh_database()
    await migrate(database.owner_url)
    settings = settings_for(
        folder, app_url=database.app_url, system_url=database.system_url, redis_url=valkey_server.url
    )
    public = folder / "publish.public.pem"
    public.write_text(signing.public_pem(signing.load_private_key(settings.publish.private_key_file).public_key()))
    api, front = create_control_plane(settings), create_data_plane(_data_plane_settings(root, settings, public)).front
    async with running(api) as control, running(front) as data:
        person = await register(control, "ada")
        key = await control.post("/api/v1/api-keys", json={"name": "k", "scopes": ["predict"]}, headers=person.headers)
        assert key.status_code == 201, key.text
        for client in (control, data):
            assert (await client.get("/health/detailed")).status_code == 200
        assert (await data.post("/predict/demo_model_1", json={"input_data": ROW})).status_code == 200
        deadline = time.monotonic() + 20
        while "snapshot_age_seconds" not in (seen := (await data.get("/metrics")).text):
            assert time.monotonic() < deadline, "no snapshot came into force"
            await asyncio.sleep(0.05)
        return Exposed((await control.get("/metrics")).text, seen)


def _data_plane_settings(root: Path, settings: Settings, public: Path) -> DataPlaneSettings:
    return DataPlaneSettings.model_validate(
        {
            "environment": "test",
            "store": {"url": settings.store.url, "poll_seconds": 0.2},
            "publish": {"public_key_file": public},
            "serving": {"cache_dir": public.parent / "serving", "shared_models_dir": root / "shared-models"},
        }
    )


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncGenerator[AsyncClient]:
    async with (
        LifespanManager(app, startup_timeout=30, shutdown_timeout=30),
        AsyncClient(transport=ASGITransport(app), base_url="http://modelmill.test") as client,
    ):
        yield client


def exposed(text: str) -> set[str]:
    """Sample names and declared families; a counter's family is declared without its `_total`."""
    families = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    samples = set(re.findall(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{| )", text, re.MULTILINE))
    return families | samples


def test_every_metric_that_is_named_exists(root: Path, metrics: Exposed) -> None:
    recorded = {rule["record"] for rule in rules(root) if "record" in rule}
    known = exposed(metrics.control_plane) | exposed(metrics.data_plane) | recorded | OF_PROMETHEUS
    asked = list(expressions(root))
    assert len(asked) > 60
    for place, expression in asked:
        for name in metrics_of(expression):
            assert name in known or SUFFIXES.sub("", name) in known, f"{place}: no service has {name}"


def test_health_checks_are_metrics(metrics: Exposed) -> None:
    assert 'health_check_ok{check="database"} 1.0' in metrics.control_plane
    assert 'health_check_ok{check="store"} 1.0' in metrics.control_plane
    assert 'health_check_ok{check="models"} 1.0' in metrics.data_plane
    assert 'health_check_ok{check="object_store"} 1.0' in metrics.data_plane


def test_the_names_are_found_in_an_expression() -> None:
    expression = (
        'sum by (job) (rate(a_total{x=~"5..|b"}[5m])) / on () max_over_time(count(up == 1)[1h:1m]) and job:c:rate1h > 1'
    )
    assert metrics_of(expression) == {"a_total", "up", "job:c:rate1h"}


def test_the_dashboards_are_what_the_generator_writes(root: Path) -> None:
    program = [sys.executable, str(root / "monitoring/grafana/generate.py"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dashboards_are_read_only_and_keep_their_address(root: Path) -> None:
    boards = dict(dashboards(root))
    assert {path.stem for path in boards} == {"overview", "predictions", "jobs"}
    for path, board in boards.items():
        assert board["uid"] == f"modelmill-{path.stem}"
        assert board["editable"] is False
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        for panel in board["panels"]:
            assert panel["type"] == "row" or panel["datasource"]["uid"] == "prometheus"


def test_prometheus_accepts_its_configuration(root: Path, promtool: str) -> None:
    config = root / "monitoring/prometheus/prometheus.yml"
    done = subprocess.run([promtool, "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_each_alert_fires_in_its_fault_and_not_without_one(root: Path, promtool: str) -> None:
    tests = sorted((root / "monitoring/prometheus/tests").glob("*.yml"))
    assert tests
    done = subprocess.run([promtool, "test", "rules", *map(str, tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_window_of_each_alert_is_tried_from_both_sides(root: Path) -> None:
    """Silent before its fault and shortly before its patience ends, then firing. One that looks at days is in `alerts.test.yml`."""
    tests = yaml.safe_load((root / "monitoring/prometheus/tests/windows.test.yml").read_text())["tests"]
    named = {test["name"].partition(":")[0]: test["promql_expr_test"] for test in tests}
    assert set(named) == {rule["alert"] for rule in rules(root) if "alert" in rule} - {"ErrorBudgetShrinks"}
    for alert, asked in named.items():
        assert [bool(one["exp_samples"]) for one in asked][:3] == [False, False, True], alert


def test_each_alert_has_a_test_and_says_what_to_do(root: Path) -> None:
    tested = "".join(path.read_text() for path in (root / "monitoring/prometheus/tests").glob("*.yml"))
    for rule in rules(root):
        if "alert" in rule:
            assert rule["alert"] in tested, rule["alert"]
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert {"summary", "description"} <= set(rule["annotations"])
