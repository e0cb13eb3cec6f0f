"""The pool of the reference design on a running service: the default route, probabilities, the pool's counts, the journal."""

from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID

import pytest

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
OTHER = UUID("019a0000-0000-7000-8000-000000000002")


def test_the_service_says_what_it_is_and_has_a_default_model(tmp_path: Path, build: Any, launch: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {
        "MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path),
        "MILL_SERVING__DEFAULT_MODEL": "demo",
        "MILL_SERVING__INLINE_BLOCK_MICROSECONDS": "0",
    }
    with launch(tmp_path, store=False, **variables) as replica:
        said = replica.http.get("/").json()
        assert (said["service"], said["models"], said["default_model"]) == ("ml-service", 1, "demo")
        for path in ("/predict", "/predict/", "/predict_proba", "/predict_proba/", "/predict_proba/demo"):
            answer = replica.http.post(path, json={"input_data": ROW})
            assert answer.status_code == 200, (path, answer.text)
            assert answer.json()["metadata"]["model_name"] == "demo"
            assert sum(answer.json()["probabilities"].values()) == pytest.approx(1.0)
        for _ in range(3):
            assert replica.http.post("/predict/demo/batch", json={"inputs": [ROW] * 50}).status_code == 200
        pool = replica.http.get("/pool/stats").json()
        assert (pool["size"], pool["available"], pool["in_use"], pool["waiting"]) == (2, 2, 0, 0)
        assert (pool["total"], pool["average_per_slot"]) == (3, 1.5)
        assert pool["busy_seconds"] > 0
        assert replica.http.get("/logs").status_code == 401


def test_without_a_default_model_or_classes_it_says_what_to_call(tmp_path: Path, build: Any, launch: Any) -> None:
    folder = Path(__file__).parents[3] / "shared-models"
    with launch(tmp_path, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(folder)) as replica:
        assert replica.http.post("/predict", json={"input_data": ROW}).json()["type"].endswith("no-default-model")
        numbers = {"input_data": {f"feature{number}": 1.0 for number in range(1, 5)}}
        refused = replica.http.post("/predict_proba/demo_model_2", json=numbers)
        assert refused.status_code == 422
        assert refused.json()["type"].endswith("no-probabilities")
        assert replica.http.post("/predicted", json=numbers).status_code == 404


def test_sampled_predictions_are_kept_for_their_own_workspace(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any, cache: Any
) -> None:
    control.routes = [control.route(build("income"), WORKSPACE)]
    key, other = control.api_key(WORKSPACE), control.api_key(OTHER)
    manager = control.token(WORKSPACE, role="data_scientist")
    control.publish()
    with start(redis_url=valkey.url, MILL_JOURNAL__ONE_IN="2", MILL_JOURNAL__KEPT="5") as replica:
        reach(lambda: replica.predict("income", key).status_code == 200)
        for _ in range(30):
            assert replica.predict("income", key).status_code == 200
        mine = {"x-api-key": key}
        reach(lambda: replica.http.get("/logs/stats", headers=mine).json()["length"] == 5)
        entries = replica.http.get("/logs?limit=3", headers=mine).json()["entries"]
        assert [entry["model_name"] for entry in entries] == ["income"] * 3
        assert all(entry["latency_ms"] >= entry["inference_ms"] > 0 for entry in entries)
        assert all(entry["cpu_ms"] > 0 and entry["memory_bytes"] > 2**20 for entry in entries)
        assert len({entry["transaction_id"] for entry in entries}) == 3
        assert not any("Oslo" in str(entry) for entry in entries)
        assert replica.http.get("/logs", headers={"x-api-key": other}).json()["entries"] == []
        assert replica.http.delete("/logs", headers=mine).status_code == 403
        assert replica.http.delete("/logs", headers={"authorization": f"Bearer {manager}"}).status_code == 204
        assert replica.http.get("/logs/stats", headers=mine).json()["length"] == 0


def test_without_redis_the_journal_is_unavailable_and_predictions_are_not(
    control: Any, build: Any, start: Any, reach: Any
) -> None:
    control.routes = [control.route(build("income"), WORKSPACE)]
    key = control.api_key(WORKSPACE)
    control.publish()
    with start(MILL_JOURNAL__ONE_IN="1") as replica:
        reach(lambda: replica.predict("income", key).status_code == 200)
        refused = replica.http.get("/logs", headers={"x-api-key": key})
        assert refused.status_code == 503
        assert refused.json()["type"].endswith("journal-unavailable")
