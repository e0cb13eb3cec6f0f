"""tritonclient over gRPC, on the port of its own."""
# pyright: reportUnknownMemberType=false, reportOptionalMemberAccess=false, reportUnknownLambdaType=false
# tritonclient is untyped.

from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def client(demo: Any, reach: Any) -> Iterator[Any]:
    found = triton.InferenceServerClient(demo.grpc)
    reach(lambda: _is_live(found))
    yield found
    found.close()


def _is_live(client: Any) -> bool:
    try:
        return client.is_server_live()
    except InferenceServerException:
        return False


def matrix(values: list[list[float]]) -> Any:
    tensor = triton.InferInput("input-0", [len(values), 2], "FP64")
    tensor.set_data_from_numpy(np.array(values))
    return tensor


def test_the_server_and_its_models_describe_themselves(client: Any) -> None:
    assert client.is_server_ready()
    assert client.is_model_ready("demo", "3")
    assert client.get_server_metadata(as_json=True)["name"] == "modelmill"
    metadata = client.get_model_metadata("demo", as_json=True)
    assert [one["datatype"] for one in metadata["inputs"]] == ["FP64", "INT64", "BOOL", "BYTES", "BYTES"]
    config = client.get_model_config("plain", as_json=True)["config"]
    assert config["input"][0] == {"name": "age", "data_type": "TYPE_FP64", "dims": ["-1"]}
    assert {model.name for model in client.get_model_repository_index().models} >= {"demo", "number", "plain"}


def test_tensors_of_every_kind_travel(client: Any, demo: Any, rows: list[dict[str, Any]]) -> None:
    ages = [np.nan if row["age"] is None else row["age"] for row in rows]
    columns = {
        "age": ("FP64", np.array(ages)),
        "children": ("INT64", np.array([row["children"] for row in rows])),
        "member": ("BOOL", np.array([row["member"] for row in rows])),
        "since": ("BYTES", np.array([row["since"].encode() for row in rows], dtype=np.object_)),
        "city": ("BYTES", np.array([row["city"].encode() for row in rows], dtype=np.object_)),
    }
    inputs: list[Any] = []
    for name, (kind, values) in columns.items():
        inputs.append(triton.InferInput(name, list(values.shape), kind))
        inputs[-1].set_data_from_numpy(values)
    answer = client.infer("demo", inputs, request_id="call-2", compression_algorithm="gzip")
    assert answer.get_response().id == "call-2"
    expected = demo.replica.http.post("/predict/demo/batch", json={"inputs": rows}).json()["predictions"]
    assert [label.decode() for label in answer.as_numpy("predict").tolist()] == [row["prediction"] for row in expected]
    assert answer.as_numpy("probabilities").tolist() == [list(row["probabilities"].values()) for row in expected]
    assert "city" in answer.get_response().parameters["warnings"].string_param


def test_a_stream_goes_on_after_a_refusal(client: Any) -> None:
    seen: Queue[Any] = Queue()
    client.start_stream(lambda result, error: seen.put((result, error)))
    for name in ("plain", "nothing", "plain"):
        client.async_stream_infer(name, [matrix([[30.0, 1.0]])])
    found = [seen.get(timeout=10) for _ in range(3)]
    client.stop_stream()
    assert [error is None for _, error in found] == [True, False, True]


def test_refusals_have_their_status(client: Any) -> None:
    with pytest.raises(InferenceServerException) as unknown:
        client.infer("nothing", [matrix([[30.0, 1.0]])])
    assert unknown.value.status() == "StatusCode.UNAUTHENTICATED"
    with pytest.raises(InferenceServerException) as wrong:
        client.infer("plain", [matrix([[np.inf, 1.0]])])
    assert wrong.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "/inputs/0/age" in wrong.value.message()
    with pytest.raises(InferenceServerException) as forbidden:
        client.unload_model("plain")
    assert forbidden.value.status() == "StatusCode.UNAUTHENTICATED"
