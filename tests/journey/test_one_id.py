"""One id, and one trace, from an HTTP call to the log lines of every service that works for it.

A short form of promise 39; nginx's part is in `tests/stack`.
"""

import json
import secrets
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import Stack, eventually

DATA = Path(__file__).parents[2] / "examples" / "data"


def lines(stack: Stack) -> list[dict[str, Any]]:
    """Every JSON line of every log of the stack."""
    found: list[dict[str, Any]] = []
    for path in stack.home.logs.glob("*.log"):
        said = path.read_text(errors="replace").splitlines()
        found.extend(json.loads(line) for line in said if line.startswith("{"))
    return found


def services(stack: Stack, **ids: str) -> set[str]:
    """Who has written a line with these ids."""
    return {line["service"] for line in lines(stack) if ids.items() <= line.items()}


def test_one_id_and_one_trace_are_found_in_every_service(stack: Stack) -> None:
    request, trace = f"order-{secrets.token_hex(6)}", secrets.token_hex(16)
    with stack.client(f"tracer-{secrets.token_hex(3)}") as mill:
        project = mill.projects.create("Traced")
        dataset = mill.datasets.wait(mill.datasets.upload(DATA / "adult.csv", project_id=project.id))
        told = {"X-Request-ID": request, "traceparent": f"00-{trace}-{'a' * 16}-01"}
        told["Authorization"] = f"Bearer {mill.auth.create_key('tracer', scopes=['read', 'write', 'predict']).key}"
        with httpx.Client(base_url=stack.api_url, headers=told, timeout=30, trust_env=False) as http:
            wish = {"name": "traced", "project_id": project.id, "dataset_id": dataset.id, "framework": "scikit-learn"}
            made = http.post("/api/v1/models", json=wish | {"model_type": "classification", "target": "income"})
            assert made.status_code == 201, made.text
            assert made.headers["X-Request-ID"] == request
            model = mill.models.wait(made.json()["id"], timeout=110)
            mill.models.deploy(model.id)
            mill.models.wait_deployed(model.id)
            answer = http.post("/api/v1/predictions", json={"model": model.id, "input_data": {"age": 40}})
            assert answer.headers["X-Request-ID"] == request
    wanted = {"api-server", "worker", "trainer", "ml-service"}
    eventually(lambda: services(stack, request_id=request) >= wanted, 20, f"{wanted} name the request")
    assert services(stack, request_id=request, trace_id=trace) >= wanted
    spans = {line["span_id"] for line in lines(stack) if line.get("trace_id") == trace}
    assert len(spans) >= 4, "each has a span of its own"
    assert {line["job_id"] for line in lines(stack) if line.get("request_id") == request and "job_id" in line} == {
        model.job_id
    }
