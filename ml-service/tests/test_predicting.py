"""`POST /predict/{model}` on a running service with shared models alone: no key, no snapshot, no other part up."""

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any
from urllib.parse import quote

import pytest

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
ODD_NAMES = ['a/b "quoted" 🚀 model', "x/batch", "batch", "per cent 100%", "name@1"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, build: Any, launch: Any) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("demo")
    for number, name in enumerate(["demo", "counted", *ODD_NAMES]):
        copy(build(name).path, folder / f"{number}.mill")
    with launch(folder, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(folder)) as replica:
        yield replica


def test_a_shared_model_answers_without_a_key(demo: Any) -> None:
    answer = demo.predict("demo")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["prediction"] in {"<=50K", ">50K"}
    assert sum(body["probabilities"].values()) == pytest.approx(1.0)
    assert body["confidence_score"] == max(body["probabilities"].values())
    assert body["processing_time"] > 0
    assert body["metadata"]["model_name"] == "demo"
    assert body["metadata"]["low_confidence"] is True
    assert body["metadata"]["request_id"] == answer.headers["x-request-id"]
    assert demo.predict("demo", return_probabilities=False).json()["probabilities"] is None
    assert demo.http.post("/predict/demo/", json={"input_data": ROW}).status_code == 200


def test_a_model_is_found_by_name_id_and_name_with_version(demo: Any) -> None:
    first = demo.predict("demo").json()
    for name in (first["model_id"], first["metadata"]["model_version_id"], "demo@1", "demo%401"):
        assert demo.predict(name).json()["model_id"] == first["model_id"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_may_hold_slashes_quotes_and_emoji(demo: Any, name: str) -> None:
    path = quote(name, safe="")
    assert demo.predict(path).json()["metadata"]["model_name"] == name
    block = demo.http.post(f"/predict/{path}/batch", json={"inputs": [ROW]})
    assert block.json()["metadata"]["model_name"] == name
    assert demo.http.get(f"/models/{path}").json()["name"] == name
    assert "age" in demo.http.get(f"/models/{path}/schema").json()["properties"]


def test_a_block_is_answered_in_order(demo: Any) -> None:
    rows = [{**ROW, "age": float(age)} for age in range(20, 60)]
    body = demo.http.post("/predict/demo/batch", json={"inputs": rows}).json()
    singles = [demo.http.post("/predict/demo", json={"input_data": row}).json() for row in rows[:5]]
    assert body["count"] == len(rows)
    assert body["total_processing_time"] >= body["average_time_per_prediction"] > 0
    for one, many in zip(singles, body["predictions"], strict=False):
        assert many["prediction"] == one["prediction"]
        assert many["probabilities"] == pytest.approx(one["probabilities"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b'{"input_data": {"age": NaN}}', "null"),
        (b'{"input_data": {"age": -Infinity}}', "byte"),
        (b'{"input_data": {"age": 1e400}}', "out of range"),
        (b'{"input_data": {"age": 1}', "truncated"),
        (b'{"input_data": 3}', "object"),
        (b'{"inputs_data": {}}', "inputs_data"),
        (b'{"input_data": {"age": 1}}\xff', "trailing"),
        (b'{"input_data": {"a":' + b"[" * 100_000, "deep"),
    ],
)
def test_malformed_json_is_a_problem_that_says_where(demo: Any, body: bytes, words: str) -> None:
    answer = demo.http.post("/predict/demo", content=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"agee": 1.0}, "/input_data/agee"),
        ({"age": "forty"}, "/input_data/age"),
        ({"age": True}, "/input_data/age"),
        ({"city": 3}, "/input_data/city"),
    ],
)
def test_a_wrong_row_names_the_feature(demo: Any, changes: dict[str, Any], pointer: str) -> None:
    answer = demo.http.post("/predict/demo", json={"input_data": {**ROW, **changes}})
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_a_row_without_a_feature_names_it(demo: Any) -> None:
    answer = demo.http.post("/predict/demo", json={"input_data": {"age": 40.0, "hours": 38.0}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/input_data/city"


@pytest.mark.parametrize("value", ["1" * 400, "-0.0", "1e308", '"\\ud800"', '"\\u0000"', "[1]", "{}", '""', "2e-400"])
def test_no_value_whatever_is_an_internal_error(demo: Any, value: str) -> None:
    for feature in ("age", "city"):
        row = {"age": "1.0", "hours": "1.0", "city": '"Oslo"', feature: value}
        text = "{" + ", ".join(f'"{name}": {given}' for name, given in row.items()) + "}"
        one = demo.http.post("/predict/demo", content=f'{{"input_data": {text}}}')
        block = demo.http.post("/predict/demo/batch", content=f'{{"inputs": [{text}]}}')
        assert one.status_code == block.status_code, (one.text, block.text)
        assert one.status_code in {200, 422}


def test_predictions_are_asked_for_with_post(demo: Any) -> None:
    answer = demo.http.get("/predict/demo")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert demo.http.post("/predict/demo?verbose=1", json={"input_data": ROW}).status_code == 200
    assert demo.http.get("/no-such-page").json()["status"] == 404


def test_the_demo_models_of_the_product_answer_without_a_key(tmp_path: Path, launch: Any) -> None:
    folder = Path(__file__).parents[2] / "shared-models"
    row = {"feature1": 0.5, "feature2": 1.0, "feature3": -0.3, "feature4": 2.0}
    with launch(tmp_path, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(folder)) as replica:
        for name in ("demo_model_1", "demo_model_2"):
            answer = replica.http.post(f"/predict/{name}", json={"input_data": row})
            assert answer.status_code == 200, answer.text
            assert answer.json()["metadata"]["model_name"] == name


def test_a_wrong_row_of_a_block_is_named_by_its_number(demo: Any) -> None:
    answer = demo.http.post("/predict/demo/batch", json={"inputs": [ROW, ROW, {"age": 3.0, "hours": 1.0}]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/inputs/2/city"
    assert demo.http.post("/predict/demo/batch", json={"inputs": []}).status_code == 422


def test_an_unseen_category_is_answered_with_a_warning(demo: Any) -> None:
    body = demo.http.post("/predict/demo", json={"input_data": {**ROW, "city": "Paris"}}).json()
    assert any("city" in warning for warning in body["metadata"]["warnings"])


def test_an_unknown_model_without_a_key_asks_for_one(demo: Any) -> None:
    answer = demo.predict("nothing-of-this-name")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_request_id_of_the_caller_is_kept(demo: Any) -> None:
    sent = demo.http.post("/predict/demo", json={"input_data": ROW}, headers={"x-request-id": "abcdefgh-1"})
    assert sent.headers["x-request-id"] == "abcdefgh-1"
    evil = demo.http.post("/predict/demo", json={"input_data": ROW}, headers={"x-request-id": "a b"})
    assert evil.headers["x-request-id"] != "a b"


def test_counters_add_up_in_stats_and_metrics(demo: Any) -> None:
    before = demo.http.get("/stats").json()["global"]
    answered = 'http_requests_total{method="POST",route="/predict/{model}",status="200"}'
    answered_before = demo.metric(answered)
    for _ in range(5):
        demo.predict("counted")
    demo.http.post("/predict/counted", json={"input_data": {}})
    stats = demo.http.get("/stats").json()
    assert stats["global"]["total_requests"] == before["total_requests"] + 6
    assert stats["global"]["uptime_seconds"] > 0
    assert 0.5 < stats["global"]["cache_hit_rate"] <= 1.0
    assert stats["models"]["counted"]["success_rate"] == pytest.approx(5 / 6, abs=1e-5)
    assert stats["models"]["counted"]["latency_ms"]["p99"] >= stats["models"]["counted"]["latency_ms"]["p50"] > 0
    assert demo.metric('inference_requests_total{model="counted",status="success"}') == 5
    assert demo.metric('inference_requests_total{model="counted",status="invalid"}') == 1
    assert demo.metric('inference_duration_seconds_count{model="counted"}') == 5
    assert demo.metric(answered) == answered_before + 5
    assert demo.metric("model_cache_bytes") > 0
    assert demo.metric("active_requests") == 1


def test_the_list_of_models_shows_signatures(demo: Any) -> None:
    listed = {model["name"]: model for model in demo.http.get("/models").json()["models"]}
    assert set(listed) == {"demo", "counted", *ODD_NAMES}
    assert [feature["name"] for feature in listed["demo"]["signature"]["features"]] == ["age", "hours", "city"]


def test_every_health_route_answers(demo: Any) -> None:
    for route in ("", "/detailed", "/ready", "/live", "/startup"):
        assert demo.http.get(f"/health{route}").status_code == 200, route
        assert demo.http.get(f"/health{route}/").status_code == 200, route


def test_openapi_describes_the_hot_routes(demo: Any) -> None:
    document = demo.http.get("/openapi.json").json()
    hot = document["paths"]["/predict/{model}"]["post"]
    assert hot["requestBody"]["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/PredictRequest"
    assert "PredictAnswer" in document["components"]["schemas"]
    assert "/predict/{model}/batch" in document["paths"]
    assert "/models" in document["paths"]


def test_the_description_is_shown_without_the_internet(demo: Any) -> None:
    page = demo.http.get("/docs").text
    assert "://" not in page
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert [demo.http.get(path).status_code for path in named] == [200] * 4


def test_a_body_beyond_the_limit_is_refused(tmp_path: Path, build: Any, start: Any) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    copy(build("demo").path, folder / "demo.mill")
    variables = {"MILL_SERVING__MAX_BODY_BYTES": "2000", "MILL_SERVING__MAX_BATCH_ROWS": "10"}
    with start(store=False, MILL_SERVING__SHARED_MODELS_DIR=str(folder), **variables) as replica:
        too_long = replica.http.post("/predict/demo", content=b" " * 3000)
        assert too_long.status_code == 413
        streamed = replica.http.post("/predict/demo", content=iter([b" " * 1500, b" " * 1500]))
        assert streamed.status_code == 413
        too_many = replica.http.post("/predict/demo/batch", json={"inputs": [{"age": 1}] * 11})
        assert too_many.status_code == 413
        assert "11 rows" in too_many.json()["detail"]
