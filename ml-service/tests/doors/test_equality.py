"""The same rows through every door give the same answers, bit for bit; what one door refuses, all refuse."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow is untyped.

import csv
import io
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq
import pytest

Rows = list[dict[str, Any]]
Answers = list[tuple[str, list[float]]]
"""(label, probabilities) by row."""

LENGTH = "inference-header-content-length"
CLASSES = ("no", "perhaps", "yes")
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"


def as_csv(rows: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: str(value).lower() if value is True or value is False else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue().encode()


def as_table(rows: Rows) -> Any:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {
        "age": pa.array(columns["age"], type=pa.float64()),
        "children": pa.array(columns["children"], type=pa.int32()),
        "member": pa.array(columns["member"]),
        "since": pa.array(
            [datetime.fromisoformat(text) for text in columns["since"]], type=pa.timestamp("us", tz="UTC")
        ),
        "city": pa.array(columns["city"]).dictionary_encode(),
    }
    return pa.table(arrays)


def as_stream(rows: Rows, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    table = as_table(rows)
    with pa_ipc.new_stream(sink, table.schema, options=pa_ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def as_parquet(rows: Rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(as_table(rows), sink, compression="zstd")
    return sink.getvalue()


def singly(http: httpx.Client, rows: Rows) -> Answers:
    answers = [http.post("/predict/demo", json={"input_data": row}).json() for row in rows]
    return [(answer["prediction"], list(answer["probabilities"].values())) for answer in answers]


def as_json_batch(http: httpx.Client, rows: Rows) -> Answers:
    return _of_row_answers(_posted(http, "/predict/demo/batch", json={"inputs": rows}).json()["predictions"])


def as_ndjson(http: httpx.Client, rows: Rows) -> Answers:
    body = "\n".join(json.dumps(row) for row in rows)
    answer = _posted(http, "/predict/demo/batch", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-model-version"] == "3"
    return _of_row_answers([json.loads(line) for line in answer.text.splitlines()])


def as_csv_batch(http: httpx.Client, rows: Rows) -> Answers:
    answer = _posted(
        http, "/predict/demo/batch", content=as_csv(rows), headers={"content-type": "text/csv; charset=utf-8"}
    )
    found = list(csv.DictReader(io.StringIO(answer.text)))
    return [(row["prediction"], [float(row[f"probability_{label}"]) for label in CLASSES]) for row in found]


def as_arrow_batch(http: httpx.Client, rows: Rows) -> Answers:
    answer = _posted(http, "/predict/demo/batch", content=as_stream(rows, "zstd"), headers={"content-type": ARROW})
    return _of_table(pa_ipc.open_stream(answer.content).read_all())


def as_parquet_batch(http: httpx.Client, rows: Rows) -> Answers:
    answer = _posted(http, "/predict/demo/batch", content=as_parquet(rows), headers={"content-type": PARQUET})
    return _of_table(pq.read_table(io.BytesIO(answer.content)))


def arrow_answered_as_json(http: httpx.Client, rows: Rows) -> Answers:
    headers = {"content-type": ARROW, "accept": "application/json"}
    return _of_row_answers(
        _posted(http, "/predict/demo/batch", content=as_stream(rows), headers=headers).json()["predictions"]
    )


def as_v2_json(http: httpx.Client, rows: Rows) -> Answers:
    kinds = {"age": "FP32", "children": "INT64", "member": "BOOL", "since": "BYTES", "city": "BYTES"}
    inputs = [
        {"name": name, "datatype": kind, "shape": [len(rows), 1], "data": [row[name] for row in rows]}
        for name, kind in kinds.items()
    ]
    outputs = {
        one["name"]: one["data"]
        for one in _posted(http, "/v2/models/demo/infer", json={"inputs": inputs}).json()["outputs"]
    }
    flat = outputs["probabilities"]
    return [(label, flat[3 * row : 3 * row + 3]) for row, label in enumerate(outputs["predict"])]


def as_v2_bytes(http: httpx.Client, rows: Rows) -> Answers:
    """Every tensor as bytes, both ways."""
    numbers = np.array([np.nan if row["age"] is None else row["age"] for row in rows])
    contents = {
        "age": ("FP64", numbers.tobytes()),
        "children": ("INT8", np.array([row["children"] for row in rows], dtype=np.int8).tobytes()),
        "member": ("BOOL", np.array([row["member"] for row in rows]).tobytes()),
        "since": ("BYTES", _texts(row["since"] for row in rows)),
        "city": ("BYTES", _texts(row["city"] for row in rows)),
    }
    inputs = [
        {"name": name, "datatype": kind, "shape": [len(rows)], "parameters": {"binary_data_size": len(content)}}
        for name, (kind, content) in contents.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(content for _, content in contents.values())
    answer = _posted(http, "/v2/models/demo/infer", content=body, headers={LENGTH: str(len(head))})
    length = int(answer.headers[LENGTH])
    labels, probabilities = json.loads(answer.content[:length])["outputs"]
    size: int = labels["parameters"]["binary_data_size"]
    found = np.frombuffer(answer.content[length + size :]).reshape(probabilities["shape"]).tolist()
    return list(zip(_read_texts(answer.content[length : length + size]), found, strict=True))


def as_mlflow(http: httpx.Client, rows: Rows) -> Answers:
    return _invoked(http, json={"dataframe_records": rows})


def as_mlflow_split(http: httpx.Client, rows: Rows) -> Answers:
    names = list(rows[0])
    split = {"columns": names, "index": list(range(len(rows))), "data": [[row[name] for name in names] for row in rows]}
    return _invoked(http, json={"dataframe_split": split})


def as_mlflow_instances(http: httpx.Client, rows: Rows) -> Answers:
    assert _invoked(http, json={"instances": rows}) == _invoked(http, json={"inputs": rows})
    return _invoked(http, json={"instances": [list(row.values()) for row in rows]})


def as_mlflow_inputs(http: httpx.Client, rows: Rows) -> Answers:
    return _invoked(http, json={"inputs": {name: [row[name] for row in rows] for name in rows[0]}})


def as_mlflow_csv(http: httpx.Client, rows: Rows) -> Answers:
    labels = _posted(
        http, "/models/demo/invocations", content=as_csv(rows), headers={"content-type": "text/csv"}
    ).json()
    reference = singly(http, rows)
    return [(label, row[1]) for label, row in zip(labels["predictions"], reference, strict=True)]


DOORS: Sequence[Callable[[httpx.Client, Rows], Answers]] = (
    as_json_batch, as_ndjson, as_csv_batch, as_arrow_batch, as_parquet_batch, arrow_answered_as_json, as_v2_json, as_v2_bytes,
    as_mlflow, as_mlflow_split, as_mlflow_instances, as_mlflow_inputs, as_mlflow_csv,
)  # fmt: skip


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_gives_the_answers_of_single_rows(demo: Any, rows: Rows, door: Callable[..., Answers]) -> None:
    assert door(demo.replica.http, rows) == singly(demo.replica.http, rows)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("age", "forty"),
        ("children", 1.5),
        ("children", None),
        ("member", "perhaps"),
        ("city", 3),
        ("since", "soon"),
        ("agee", 1),
    ],
)
def test_what_one_door_refuses_all_refuse_naming_row_and_feature(
    demo: Any, rows: Rows, feature: str, value: Any
) -> None:
    http: httpx.Client = demo.replica.http
    bad = [rows[0], {**rows[1], feature: value}]
    expected = http.post("/predict/demo/batch", json={"inputs": bad})
    ndjson = "\n".join(json.dumps(row) for row in bad)
    same = [http.post("/predict/demo/batch", content=ndjson, headers={"content-type": "application/x-ndjson"})]
    if feature != "city" and feature != "agee":
        same.append(http.post("/predict/demo/batch", content=as_csv(bad), headers={"content-type": "text/csv"}))
    for answer in same:
        assert answer.status_code == expected.status_code, answer.text
        if answer.status_code == 422:
            assert [error["pointer"] for error in answer.json()["errors"]] == [f"/inputs/1/{feature}"]
    scored = http.post("/models/demo/invocations", json={"dataframe_records": bad})
    assert scored.status_code == (400 if expected.status_code == 422 else 200)
    if scored.status_code == 400:
        assert scored.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        assert f"/inputs/1/{feature}" in scored.json()["message"]


def _texts(texts: Iterable[str]) -> bytes:
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def _read_texts(data: bytes) -> list[str]:
    found: list[str] = []
    while data:
        (length,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + length].decode())
        data = data[4 + length :]
    return found


def _posted(http: httpx.Client, path: str, **request: Any) -> httpx.Response:
    answer = http.post(path, **request)
    assert answer.status_code == 200, answer.text
    return answer


def _invoked(http: httpx.Client, **request: Any) -> Answers:
    body = request["json"]
    labels = _posted(http, "/models/demo/invocations", json=body).json()["predictions"]
    asked = {**body, "params": {"predict_method": "predict_proba", "temperature": 1}}
    probabilities = _posted(http, "/models/demo/invocations", json=asked).json()["predictions"]
    return list(zip(labels, probabilities, strict=True))


def _of_row_answers(found: list[dict[str, Any]]) -> Answers:
    return [(row["prediction"], list(row["probabilities"].values())) for row in found]


def _of_table(table: Any) -> Answers:
    return [(row["prediction"], [row[f"probability_{label}"] for label in CLASSES]) for row in table.to_pylist()]
