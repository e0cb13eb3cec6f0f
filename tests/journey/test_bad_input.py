"""Bad input over HTTP, through the whole platform: each file ends as an invalid version that says where, and nothing else breaks.

The trainer's own tests hold the full corpus; here every kind of the list passes through upload, store, worker and API.
"""

import gzip
import io
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import httpx
import pytest
from modelmill import Client, InvalidRequest, JobFailed

from tests.conftest import Stack, eventually

GOOD = b"a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"


@pytest.fixture(scope="module")
def mill(stack: Stack) -> Iterator[Client]:
    with stack.client("breaker") as client:
        yield client


@pytest.fixture(scope="module")
def project(mill: Client) -> str:
    return mill.projects.create("Bad input").id


def parquet(rows: int = 3) -> bytes:
    with duckdb.connect() as duck, tempfile.NamedTemporaryFile(suffix=".parquet") as target:
        duck.execute(f"COPY (SELECT range AS a, 'x' AS label FROM range({rows})) TO '{target.name}'")
        return Path(target.name).read_bytes()


BAD: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "header only": ("t.csv", b"a,b,label\n", {}),
    "ragged rows": ("t.csv", GOOD + b"9,10\n", {"line": 6}),
    "Latin-1": ("t.csv", "a,label\ncafé,x\n".encode("latin-1"), {"line": 2}),
    "duplicate column": ("t.csv", b"a,a,label\n1,2,x\n", {"column": "a"}),
    "empty column name": ("t.csv", b"a,,label\n1,2,x\n", {"line": 1}),
    "5,000 columns": ("t.csv", b",".join(b"c%d" % n for n in range(5_000)) + b"\n" + b",".join([b"1"] * 5_000), {}),
    "a 10 MB cell": ("t.csv", b"a,label\n" + b"x" * 10 * 2**20 + b",y\n", {"line": 2}),
    "binary named .csv": ("t.csv", bytes(range(256)) * 40, {}),
    "truncated Parquet": ("t.parquet", parquet()[:-20], {}),
    "truncated gzip": ("t.csv.gz", gzip.compress(GOOD * 1_000)[:-20], {}),
    "NDJSON with a broken line": ("t.ndjson", b'{"a": 1}\n{"a": 2\n{"a": 3}\n', {"line": 2}),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_cannot_be_read_is_invalid_and_says_where(mill: Client, project: str, case: str) -> None:
    name, data, where = BAD[case]
    dataset = mill.datasets.upload(io.BytesIO(data), file_name=name, name=case, project_id=project)
    assert dataset.job_id is not None
    with pytest.raises(JobFailed):
        mill.jobs.wait(dataset.job_id, timeout=60)
    broken = mill.datasets.get(dataset.id)
    assert broken.status == "invalid"
    problem = broken.problem or {}
    assert 400 <= problem["status"] < 500, problem
    errors = problem.get("errors", [])
    for key, value in where.items():
        assert value in [error.get(key) for error in errors], problem
    assert mill.jobs.get(dataset.job_id).raw["attempt"] == 1, "what cannot work is not tried again"


def test_an_empty_file_is_refused_at_the_door(mill: Client, project: str) -> None:
    with pytest.raises(InvalidRequest, match="no byte"):
        mill.datasets.upload(io.BytesIO(b""), file_name="empty.csv", name="empty", project_id=project)


@pytest.mark.parametrize(
    ("case", "data"),
    [
        ("a byte-order mark", b"\xef\xbb\xbf" + GOOD),
        ("UTF-16", GOOD.decode().encode("utf-16")),
        ("an all-missing column", b"a,void,label\n1,,x\n2,,y\n"),
    ],
)
def test_what_can_be_read_openly_is(mill: Client, project: str, case: str, data: bytes) -> None:
    dataset = mill.datasets.upload(io.BytesIO(data), file_name="t.csv", name=case, project_id=project)
    ready = mill.datasets.wait(dataset, timeout=60)
    assert ready.status == "ready"
    assert ready.columns[0]["name"] == "a"


@pytest.mark.parametrize(
    ("case", "data", "wish", "words"),
    [
        ("missing target", GOOD, {"target": "lable"}, '"label"'),
        ("constant target", b"a,label\n1,x\n2,x\n3,x\n", {}, "one value"),
        ("one row in a class", b"a,label\n1,x\n2,x\n3,x\n4,x\n5,y\n", {}, "y"),
        ("unknown algorithm", GOOD, {"algorithm": "gradient_bosting"}, "gradient_boosting"),
        ("unknown parameter", GOOD, {"parameters": {"n_estimator": 10}}, "n_estimators"),
    ],
)
def test_a_training_that_cannot_work_is_refused_by_name(
    mill: Client, project: str, case: str, data: bytes, wish: dict[str, Any], words: str
) -> None:
    dataset = mill.datasets.upload(io.BytesIO(data), file_name="t.csv", name=case, project_id=project)
    mill.datasets.wait(dataset, timeout=60)

    def train() -> None:
        name = f"model of {case}"
        asked = mill.models.train(name, project_id=project, dataset_id=dataset.id, framework="xgboost", **wish)
        mill.models.wait(asked, timeout=60)

    with pytest.raises((InvalidRequest, JobFailed)) as refusal:
        train()
    assert words in str(refusal.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_numbers_that_are_none_are_refused_in_json(stack: Stack, number: str) -> None:
    body = '{"input_data": {"feature1": NUMBER, "feature2": 1, "feature3": 1, "feature4": 1}}'.replace("NUMBER", number)
    answer = httpx.post(f"{stack.serving_url}/predict/demo_model_1", content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_client_that_leaves_mid_upload_leaves_no_trace(stack: Stack, mill: Client, project: str) -> None:
    before = set(stack.home.objects.rglob("*"))
    names = {dataset.name for dataset in mill.datasets.list(project_id=project)}
    leave_mid_upload(stack, mill)
    eventually(lambda: not list((stack.home.objects / ".incoming").iterdir()), 10, "no half-written object is left")
    assert {path for path in stack.home.objects.rglob("raw") if path not in before} == set()
    assert {dataset.name for dataset in mill.datasets.list(project_id=project)} == names


def leave_mid_upload(stack: Stack, mill: Client) -> None:
    """Send a megabyte of an announced gigabyte and cut the line."""
    key = mill.auth.create_key("leaver", scopes=["read", "write"]).key
    address = urlsplit(stack.api_url)
    with socket.create_connection((str(address.hostname), int(address.port or 80))) as line:
        head = (
            f"POST /api/v1/datasets HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
            f"Content-Type: multipart/form-data; boundary=q\r\nContent-Length: {2**30}\r\n\r\n"
            '--q\r\nContent-Disposition: form-data; name="file"; filename="gone.csv"\r\n\r\n'
        )
        line.sendall(head.encode() + b"1,2\n" * 2**18)


def test_two_users_may_have_the_same_project_name(stack: Stack) -> None:
    with stack.client("first") as first, stack.client("second") as second:
        assert first.projects.create("Same").id != second.projects.create("Same").id


def test_the_workers_are_alive_after_all_that(stack: Stack, mill: Client, project: str) -> None:
    dataset = mill.datasets.upload(io.BytesIO(GOOD), file_name="good.csv", name="good", project_id=project)
    assert mill.datasets.wait(dataset, timeout=60).status == "ready"
    assert {part.restarts for part in stack.state().parts} == {0}
