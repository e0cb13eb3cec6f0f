"""What a prediction costs, recorded for those who may ask: nothing is measured and nobody is profiled unless that is switched on."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from mill_serving.errors import InvalidRequest, ProfilerBusy
from mill_serving.performance import Transaction, Watch, is_asked

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
OTHER = UUID("019a0000-0000-7000-8000-000000000002")
FIGURES = {"latency_ms", "inference_ms", "cpu_ms", "memory_bytes", "memory_delta_bytes"}


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, control_plane: Any, build: Any, launch: Any, reach: Any, valkey: Any
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("performance")
    control = control_plane(folder)
    control.routes = [control.route(build("income"), WORKSPACE)]
    who = {
        "caller": {"x-api-key": control.api_key(WORKSPACE)},
        "writer": {"x-api-key": control.api_key(WORKSPACE, scopes=("predict", "write"))},
        "scientist": {"authorization": f"Bearer {control.token(WORKSPACE, role='data_scientist')}"},
        "stranger": {"authorization": f"Bearer {control.token(OTHER, role='admin')}"},
    }
    control.publish()
    with launch(folder, redis_url=valkey.url, MILL_JOURNAL__PROFILING="true") as replica:
        reach(lambda: predict(replica, who["caller"]).status_code == 200)
        yield replica, who


def predict(replica: Any, headers: dict[str, str]) -> Any:
    return replica.http.post("/predict/income", json={"input_data": ROW}, headers=headers)


def record(replica: Any, transaction: str, headers: dict[str, str], reach: Any) -> Any:
    path = f"/performance/{transaction}"
    reach(lambda: replica.http.get(path, headers=headers).status_code == 200)
    return replica.http.get(path, headers=headers).json()


@pytest.mark.parametrize("asker", ["writer", "scientist"])
def test_a_profile_tells_what_one_prediction_cost(service: Any, reach: Any, asker: str) -> None:
    replica, who = service
    answer = predict(replica, {**who[asker], "x-profile": "1", "x-request-id": f"profiled-by-{asker}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-transaction-id"] == f"profiled-by-{asker}"
    assert answer.headers["server-timing"].startswith("inference;dur=")
    found = record(replica, f"profiled-by-{asker}", who[asker], reach)
    assert (found["model_name"], found["rows"], found["cached"]) == ("income", 1, False)
    assert 0 < found["cpu_ms"] <= found["latency_ms"]
    assert found["inference_ms"] <= found["latency_ms"]
    assert found["memory_bytes"] > 2**20
    assert found["function_calls"] > 5
    assert any(function["function"].endswith(" predict_one") for function in found["top_functions"])
    assert not any(function["function"].startswith("/") for function in found["top_functions"])
    assert "Oslo" not in str(found)
    listed = replica.http.get("/logs", headers=who[asker]).json()["entries"][0]
    assert listed["transaction_id"] == f"profiled-by-{asker}"
    assert "top_functions" not in listed


def test_blocks_and_other_protocols_are_profiled_too(service: Any, reach: Any) -> None:
    replica, who = service
    asked = {**who["scientist"], "x-profile": "1"}
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if name == "city" else "FP64", "data": [value]}
        for name, value in ROW.items()
    ]
    for path, body, rows in (
        ("/predict/income/batch", {"inputs": [ROW] * 7}, 7),
        ("/v2/models/income/infer", {"inputs": tensors}, 1),
        ("/models/income/invocations", {"instances": [ROW] * 3}, 3),
    ):
        answer = replica.http.post(path, json=body, headers=asked)
        assert answer.status_code == 200, answer.text
        found = record(replica, answer.headers["x-transaction-id"], who["scientist"], reach)
        assert (found["rows"], found["top_functions"] != []) == (rows, True)


def test_a_record_is_for_its_own_workspace(service: Any, reach: Any) -> None:
    replica, who = service
    predict(replica, {**who["writer"], "x-profile": "1", "x-request-id": "my-own-record"})
    assert set(record(replica, "my-own-record", who["caller"], reach)) >= FIGURES
    refused = replica.http.get("/performance/my-own-record", headers=who["stranger"])
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:modelmill:problem:no-such-record")
    assert replica.http.get("/performance/my-own-record").status_code == 401
    assert replica.http.delete("/logs", headers=who["writer"]).status_code == 204
    assert replica.http.get("/performance/my-own-record", headers=who["caller"]).status_code == 404


def test_a_profile_is_refused_to_those_who_may_only_predict(service: Any) -> None:
    replica, who = service
    refused = predict(replica, {**who["caller"], "x-profile": "1"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:modelmill:problem:may-not-profile")
    assert predict(replica, {"x-profile": "1"}).status_code == 401
    assert predict(replica, {**who["writer"], "x-profile": "yes"}).status_code == 422
    usual = predict(replica, {**who["writer"], "x-profile": "0"})
    assert (usual.status_code, "x-transaction-id" in usual.headers) == (200, False)


def test_nobody_is_profiled_unless_the_operator_allows_it(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any
) -> None:
    control.routes = [control.route(build("income"), WORKSPACE)]
    key = control.api_key(WORKSPACE, scopes=("predict", "write"))
    control.publish()
    with start(redis_url=valkey.url) as replica:
        reach(lambda: replica.predict("income", key).status_code == 200)
        refused = predict(replica, {"x-api-key": key, "x-profile": "1"})
        assert refused.status_code == 403
        assert "MILL_JOURNAL__PROFILING" in refused.json()["detail"]


def test_one_request_at_a_time_is_profiled() -> None:
    lock = threading.Lock()
    watches = [Watch(Transaction("one", 0.0), lock), Watch(Transaction("two", 0.0), lock)]

    def nested() -> int:
        with pytest.raises(ProfilerBusy):
            watches[1].around(lambda: 1)()
        return 2

    assert watches[0].around(nested)() == 2
    assert watches[1].around(lambda: 3)() == 3
    assert not lock.locked()


def test_the_header_is_one_or_nothing() -> None:
    assert [is_asked(value) for value in (b"", b"0", b"1")] == [False, False, True]
    with pytest.raises(InvalidRequest):
        is_asked(b"true")
