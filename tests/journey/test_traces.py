"""One trace from a request through the job and the trainer's stages, and through a prediction, as a collector receives it."""

import secrets
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from mill_kit.testing.collector import Collector, Received, collector

from tests.conftest import Stack, eventually, running_stack

DATA = Path(__file__).parents[2] / "examples" / "data"
CALLER = "a" * 16


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Stack, Collector]]:
    """A stack whose services export; everything but the switch and the endpoint is the default."""
    with collector() as receiver:
        told = {"MILL_TELEMETRY__ENABLED": "true", "MILL_TELEMETRY__ENDPOINT": receiver.url}
        with running_stack(
            tmp_path_factory.mktemp("followed") / "home", told | {"OTEL_BSP_SCHEDULE_DELAY": "200"}
        ) as stack:
            yield stack, receiver


def the(spans: list[Received], service: str, name: str) -> Received:
    found = [span for span in spans if (span.service, span.name) == (service, name)]
    assert len(found) == 1, (service, name, [(span.service, span.name) for span in spans])
    return found[0]


def test_a_job_and_its_trainer_are_below_the_request_that_asked_for_them(followed: tuple[Stack, Collector]) -> None:
    stack, receiver = followed
    user, trace = f"tracer-{secrets.token_hex(3)}", secrets.token_hex(16)
    with stack.client(user) as mill:
        project = mill.projects.create("Followed")
        dataset = mill.datasets.wait(mill.datasets.upload(DATA / "adult.csv", project_id=project.id))
        key = mill.auth.create_key("tracer", scopes=["read", "write", "predict"]).key
        told = {"Authorization": f"Bearer {key}", "traceparent": f"00-{trace}-{CALLER}-00"}
        with httpx.Client(base_url=stack.api_url, headers=told, timeout=30, trust_env=False) as http:
            wish = {"name": "followed", "project_id": project.id, "dataset_id": dataset.id, "framework": "scikit-learn"}
            made = http.post("/api/v1/models", json=wish | {"model_type": "classification", "target": "income"})
            assert made.status_code == 201, made.text
            model = mill.models.wait(made.json()["id"], timeout=110)
            mill.models.deploy(model.id)
            mill.models.wait_deployed(model.id)
            http.post("/api/v1/predictions", json={"model": model.id, "input_data": {"age": 40}})
    wanted = {"api-server", "worker", "trainer", "ml-service"}
    eventually(lambda: {span.service for span in receiver.of(trace)} >= wanted, 20, f"{wanted} send spans")
    names = {"job train", "POST /api/v1/models", "POST /api/v1/predictions"}
    eventually(lambda: {span.name for span in receiver.of(trace)} >= names, 20, f"{names} have ended")
    spans = receiver.of(trace)
    request = the(spans, "api-server", "POST /api/v1/models")
    enqueue = the(spans, "api-server", "enqueue train")
    job = the(spans, "worker", "job train")
    trainer = the(spans, "trainer", "trainer train")
    chain = [request, enqueue, job, trainer]
    assert [span.parent for span in chain] == [CALLER, *(span.span_id for span in chain[:-1])]
    stages = [span for span in spans if span.parent == trainer.span_id]
    assert len(stages) >= 3, "each stage that the trainer reports is a span"
    assert sum(stage.seconds for stage in stages) <= trainer.seconds <= job.seconds
    below = Counter(span.name for span in spans if span.parent == job.span_id)
    assert below["store put"] >= 1
    assert below["store fetch"] >= 1
    assert below["database write"] >= 1
    assert job.attributes["mill.job_id"] == enqueue.attributes["mill.job.id"] == model.job_id
    assert job.attributes["mill.verdict"] == "Done"
    assert not any(span.failed for span in spans)
    the(spans, "ml-service", "POST /predict/{}")
    client = the(spans, "api-server", "POST ml-service")
    assert the(spans, "ml-service", "POST /predict/{}").parent == client.span_id
    said = repr(receiver.spans)
    assert user not in said
    assert key is not None
    assert key not in said
    assert "adult" not in said


def test_health_metrics_and_the_sweep_leave_no_spans(followed: tuple[Stack, Collector]) -> None:
    stack, receiver = followed
    with httpx.Client(trust_env=False) as http:
        for path in ("/health", "/health/ready", "/metrics"):
            assert http.get(f"{stack.api_url}{path}").status_code == 200
        marked = secrets.token_hex(16)
        told = {"traceparent": f"00-{marked}-{CALLER}-01"}
        assert http.get(f"{stack.api_url}/api/v1/projects", headers=told).status_code == 401
    eventually(lambda: bool(receiver.of(marked)), 20, "a refused request is a span")
    assert receiver.of(marked)[0].attributes["http.response.status_code"] == 401
    assert not [span for span in receiver.spans if "health" in span.name or "metrics" in span.name]
