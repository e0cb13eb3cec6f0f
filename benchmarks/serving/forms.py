"""What is sent to each kind of server and how its answer is read: every server in the form that is its own.

`Form.request` makes the bytes once, before the rounds; `Form.read` turns one answer into class places and probabilities.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow is untyped.

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc
from numpy.typing import NDArray

from benchmarks.serving.models import Cell, Model

ARROW: Final = "application/vnd.apache.arrow.stream"
LENGTH: Final = "inference-header-content-length"
TOLERANCE: Final = 1e-6
Rows = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Found:
    classes: list[int]
    probabilities: NDArray[np.float64]


Read = Callable[[Model, bytes, Mapping[str, str]], Found]


@dataclass(frozen=True)
class Form:
    name: str
    request: Callable[[Model, Rows], Request]
    read: Read


class WrongAnswerError(Exception):
    """A server's answer is not the library's."""


def check(model: Model, at: int, found: Found) -> None:
    """The answer to the rows from `at` on: the library's classes, its probabilities to 1e-6. Raises `WrongAnswerError`."""
    expected = np.array(model.probabilities[at : at + len(found.classes)])
    if found.classes != model.classes[at : at + len(found.classes)]:
        raise WrongAnswerError("classes differ from the library's")
    difference = float(np.abs(found.probabilities.reshape(expected.shape) - expected).max())
    if not difference <= TOLERANCE:
        raise WrongAnswerError(f"probabilities differ from the library's by {difference:g}")


def _json(path: str, body: object, headers: Mapping[str, str] | None = None) -> Request:
    content = json.dumps(body, separators=(",", ":")).encode()
    return Request(path, content, {"content-type": "application/json", **(headers or {})})


def _named(model: Model, rows: Rows) -> list[dict[str, Cell]]:
    return [dict(zip(model.features, row, strict=True)) for row in rows]


# --- ours ---------------------------------------------------------------------------------------------------------------------


def _our_row(model: Model, rows: Rows) -> Request:
    """The prediction cache is not asked: every answer is predicted."""
    return _json(f"/predict/{model.served_name}", {"input_data": _named(model, rows)[0], "use_cache": False})


def _our_batch(model: Model, rows: Rows) -> Request:
    return _json(f"/predict/{model.served_name}/batch", {"inputs": _named(model, rows)})


def _our_arrow(model: Model, rows: Rows) -> Request:
    table = pa.table({name: [row[at] for row in rows] for at, name in enumerate(model.features)})
    sink = pa.BufferOutputStream()
    with pa_ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Request(f"/predict/{model.served_name}/batch", sink.getvalue().to_pybytes(), {"content-type": ARROW})


def _read_our_row(model: Model, body: bytes, _: Mapping[str, str]) -> Found:
    return _labelled(model, [json.loads(body)])


def _read_our_batch(model: Model, body: bytes, _: Mapping[str, str]) -> Found:
    return _labelled(model, json.loads(body)["predictions"])


def _labelled(model: Model, answers: Sequence[Mapping[str, Any]]) -> Found:
    classes = [model.labels.index(answer["prediction"]) for answer in answers]
    return Found(classes, np.array([[answer["probabilities"][label] for label in model.labels] for answer in answers]))


def _read_our_arrow(model: Model, body: bytes, _: Mapping[str, str]) -> Found:
    table = pa_ipc.open_stream(body).read_all()
    classes = [model.labels.index(label) for label in table.column("prediction").to_pylist()]
    columns = [table.column(f"probability_{label}").to_numpy() for label in model.labels]
    return Found(classes, np.column_stack(columns))


def _our_tensors(model: Model, rows: Rows) -> list[tuple[str, NDArray[Any]]]:
    """All features at once where they are numbers, else one tensor each."""
    if not model.texts:
        return [("features", np.array(rows, dtype=np.float64))]
    kinds = [np.float64 if at < model.numbers else np.object_ for at in range(len(model.features))]
    return [(name, np.array([row[at] for row in rows], dtype=kinds[at])) for at, name in enumerate(model.features)]


# --- Open Inference Protocol V2 -----------------------------------------------------------------------------------------------


def _peer_tensors(model: Model, rows: Rows) -> list[tuple[str, NDArray[Any]]]:
    numbers = np.array([row[: model.numbers] for row in rows], dtype=np.float64)
    texts = [("texts", np.array([row[model.numbers :] for row in rows], dtype=object))] if model.texts else []
    return [("numbers", numbers), *texts]


def _v2_json(path: str, tensors: Sequence[tuple[str, NDArray[Any]]]) -> Request:
    inputs = [{**_described(name, values), "data": values.ravel().tolist()} for name, values in tensors]
    return _json(path, {"inputs": inputs})


def _v2_binary(path: str, tensors: Sequence[tuple[str, NDArray[Any]]]) -> Request:
    parts = [_raw(values) for _, values in tensors]
    inputs = [
        {**_described(name, values), "parameters": {"binary_data_size": len(part)}}
        for (name, values), part in zip(tensors, parts, strict=True)
    ]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", LENGTH: str(len(header))}
    return Request(path, header + b"".join(parts), headers)


def _described(name: str, values: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "shape": list(values.shape), "datatype": "BYTES" if values.dtype == object else "FP64"}


def _raw(values: NDArray[Any]) -> bytes:
    if values.dtype != object:
        return values.tobytes()
    words = [str(word).encode() for word in values.ravel()]
    return b"".join(struct.pack("<I", len(word)) + word for word in words)


def _read_v2(model: Model, body: bytes, headers: Mapping[str, str]) -> Found:
    outputs = _outputs(body, headers)
    probabilities = np.array(outputs["probabilities"], dtype=np.float64).reshape(-1, len(model.labels))
    if "predict" in outputs:
        labels = [word.decode() if isinstance(word, bytes) else word for word in outputs["predict"]]
        return Found([model.labels.index(label) for label in labels], probabilities)
    return Found([int(place) for place in np.ravel(outputs["classes"])], probabilities)


def _outputs(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    length = int(headers.get(LENGTH, len(body)))
    found: dict[str, Any] = {}
    at = length
    for output in json.loads(body[:length])["outputs"]:
        size = (output.get("parameters") or {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = output["data"]
            continue
        found[output["name"]] = _of_raw(output["datatype"], body[at : at + size])
        at += size
    return found


def _of_raw(kind: str, raw: bytes) -> Any:
    if kind != "BYTES":
        return np.frombuffer(raw, dtype={"FP64": "<f8", "INT64": "<i8", "FP32": "<f4"}[kind])
    words: list[bytes] = []
    at = 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        words.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return words


# --- the peers' own JSON ------------------------------------------------------------------------------------------------------


def _rows_json(_: Model, rows: Rows) -> Request:
    return _json("/predict", {"rows": list(rows)})


def _instances(_: Model, rows: Rows) -> Request:
    return _json("/v1/models/model:predict", {"instances": list(rows)})


def _invocations(model: Model, rows: Rows) -> Request:
    if not model.texts:
        return _json("/invocations", {"inputs": list(rows)})
    numbers, texts = [row[: model.numbers] for row in rows], [row[model.numbers :] for row in rows]
    return _json("/invocations", {"inputs": {"numbers": numbers, "texts": texts}})


def _read_document(_: Model, body: bytes, __: Mapping[str, str]) -> Found:
    document = json.loads(body)
    if isinstance(document, list):
        answers: list[dict[str, Any]] = document
        return Found([one["class"] for one in answers], np.array([one["probabilities"] for one in answers]))
    document = document.get("predictions", document)
    return Found([int(place) for place in document["classes"]], np.array(document["probabilities"]))


_INFER: Final = "/v2/models/model/infer"

OUR_ROW: Final = Form("JSON", _our_row, _read_our_row)
OUR_BATCH: Final = Form("JSON rows", _our_batch, _read_our_batch)
OUR_ARROW: Final = Form("Arrow IPC", _our_arrow, _read_our_arrow)
OUR_V2_JSON: Final = Form(
    "V2 JSON",
    lambda model, rows: _v2_json(f"/v2/models/{model.served_name}/infer", _our_tensors(model, rows)),
    _read_v2,
)
OUR_V2_BINARY: Final = Form(
    "V2 binary",
    lambda model, rows: _v2_binary(f"/v2/models/{model.served_name}/infer", _our_tensors(model, rows)),
    _read_v2,
)
V2_JSON: Final = Form("V2 JSON", lambda model, rows: _v2_json(_INFER, _peer_tensors(model, rows)), _read_v2)
V2_BINARY: Final = Form("V2 binary", lambda model, rows: _v2_binary(_INFER, _peer_tensors(model, rows)), _read_v2)
ROWS_JSON: Final = Form("JSON", _rows_json, _read_document)
INSTANCES: Final = Form("V1 JSON", _instances, _read_document)
INVOCATIONS: Final = Form("MLflow JSON", _invocations, _read_document)
