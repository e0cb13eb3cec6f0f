"""The schema is the contract: each model's own OpenAPI document, `:validate`, `/explain`; MLflow's and SageMaker's addresses."""

from pathlib import Path
from shutil import copy
from typing import Any

import pytest


def test_a_model_describes_its_own_addresses(demo: Any) -> None:
    document = demo.replica.http.get("/models/demo/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert "/predict/demo" in document["paths"]
    row = document["components"]["schemas"]["Row"]
    assert set(row["properties"]) == {"age", "children", "member", "since", "city"}
    assert row["additionalProperties"] is False
    for used in _references(document):
        assert used.removeprefix("#/components/schemas/") in document["components"]["schemas"], used


def test_validate_explains_row_by_row_and_predicts_nothing(demo: Any, rows: list[dict[str, Any]]) -> None:
    http = demo.replica.http
    before = http.get("/stats").json()["models"].get("demo", {}).get("rows", 0)
    bad = {**rows[1], "children": 1.5, "agee": 1.0}
    verdict = http.post("/models/demo:validate", json={"inputs": [rows[0], bad, rows[3], 7]}).json()
    assert verdict["valid"] is False
    assert (verdict["rows"], verdict["rows_wrong"]) == (4, 2)
    details = {detail["row"]: detail for detail in verdict["details"]}
    assert {error["pointer"] for error in details[1]["errors"]} == {"/inputs/1/children", "/inputs/1/agee"}
    assert "did you mean 'age'" in str(details[1]["errors"])
    assert details[2]["valid"] is True
    assert details[2]["warnings"][0]["pointer"] == "/inputs/2/city"
    assert details[3]["errors"][0]["pointer"] == "/inputs/3"
    one = http.post("/models/demo:validate", json={"input_data": {**rows[0], "age": 500.0}}).json()
    assert one["valid"] is True
    assert one["details"][0]["warnings"] == [
        {"pointer": "/input_data/age", "detail": "lies outside what training saw, 18.2373 to 90"}
    ]
    wrong: list[dict[str, Any]] = [{}, {"inputs": [], "input_data": {}}, {"rows": []}]
    for body in wrong:
        assert http.post("/models/demo:validate", json=body).status_code == 422
    assert http.get("/models/demo:validate").status_code == 405
    text = http.post("/models/plain:validate", content=b"age,children\n1,x\n", headers={"content-type": "text/csv"})
    assert text.json()["details"][0]["errors"][0]["pointer"] == "/inputs/0/children"
    assert http.get("/stats").json()["models"].get("demo", {}).get("rows", 0) == before


def test_an_explanation_adds_up_and_names_inputs(demo: Any, rows: list[dict[str, Any]]) -> None:
    http = demo.replica.http
    answer = http.post("/predict/demo/explain", json={"inputs": rows}).json()
    assert answer["count"] == 4
    for explanation in answer["explanations"]:
        assert set(explanation["contributions"]) == {"no", "perhaps", "yes"}
        for label, parts in explanation["contributions"].items():
            assert set(parts) == {"age", "children", "member", "since", "city"}
            total = sum(parts.values()) + explanation["base_values"][label]
            assert total == pytest.approx(explanation["margins"][label])
        assert explanation["prediction"] == max(explanation["margins"], key=explanation["margins"].get)
    number = http.post("/predict/number/explain", json={"input_data": rows[0]}).json()["explanations"][0]
    value = http.post("/predict/number", json={"input_data": rows[0]}).json()["prediction"]
    assert number["margins"]["answer"] == pytest.approx(value)
    wrong = http.post("/predict/demo/explain", json={"input_data": {**rows[0], "age": "x"}})
    assert wrong.json()["errors"][0]["pointer"] == "/input_data/age"
    assert http.post("/predict/demo/explain", json={}).status_code == 422
    assert http.get("/predict/demo/explain").status_code == 405


def test_sagemaker_names_the_model_in_a_header(demo: Any, tmp_path: Path, launch: Any) -> None:
    http = demo.replica.http
    body = {"instances": [[30.0, 1], [41.5, 2]]}
    named = http.post("/invocations", json=body, headers={"x-amzn-sagemaker-target-model": "plain"})
    assert named.json() == http.post("/models/plain/invocations", json=body).json()
    missing = http.post("/invocations", json=body)
    assert missing.status_code == 404
    assert missing.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert http.get("/ping").status_code == 200
    assert http.get("/models/plain/ping").status_code == 200
    assert http.get("/models/nothing/ping").status_code == 401
    copy(demo.folder / "plain.mill", tmp_path / "plain.mill")
    variables = {"MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path), "MILL_SERVING__DEFAULT_MODEL": "plain"}
    with launch(tmp_path, store=False, **variables) as replica:
        assert replica.http.post("/invocations", json=body).json() == named.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"instances": [], "inputs": []}, 400),
        ({"instances": [[1.0, 2]], "extra": 1}, 400),
        ({"instances": [[1.0]]}, 400),
        ({"instances": "x"}, 400),
        ({"instances": []}, 400),
        ({"dataframe_records": [[1.0, 2]]}, 400),
        ({"dataframe_split": {"columns": ["age"], "data": [[1.0, 2]]}}, 400),
        ({"dataframe_split": {"columns": ["age", "age"], "data": [[1.0, 2]]}}, 400),
        ({"dataframe_split": [1]}, 400),
        ({"inputs": {"age": [1.0], "children": [1, 2]}}, 400),
        ({"inputs": {}}, 400),
        ({"inputs": {"age": [[1.0]], "children": [[1]]}}, 200),
        ({"inputs": {"age": 1.0, "children": 1}}, 200),
    ],
)
def test_scoring_takes_exactly_its_four_forms(demo: Any, body: Any, status: int) -> None:
    answer = demo.replica.http.post("/models/plain/invocations", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == ({"predictions"} if status == 200 else {"error_code", "message"})


def test_scoring_refuses_in_its_own_shape(demo: Any) -> None:
    http = demo.replica.http
    for answer, status in (
        (http.get("/models/plain/invocations"), 405),
        (http.post("/models/plain/invocations", content=b"{"), 400),
        (http.post("/models/plain/invocations", content=b"x", headers={"content-type": "image/png"}), 415),
        (http.post("/models/nothing/invocations", json={}), 401),
    ):
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error_code", "message"}


def _references(document: Any) -> list[str]:
    if isinstance(document, dict):
        parts = [found for value in document.values() for found in _references(value)]  # pyright: ignore[reportUnknownVariableType]
        return [document["$ref"], *parts] if "$ref" in document else parts
    if isinstance(document, list):
        return [found for value in document for found in _references(value)]  # pyright: ignore[reportUnknownVariableType]
    return []
