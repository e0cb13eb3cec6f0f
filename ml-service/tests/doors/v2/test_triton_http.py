"""tritonclient over HTTP, sync and aio, against the running service: what NVIDIA's client sends is answered as it expects."""
# pyright: reportUnknownMemberType=false, reportOptionalMemberAccess=false
# tritonclient is untyped.

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def client(demo: Any) -> Iterator[Any]:
    found = triton.InferenceServerClient(demo.url.removeprefix("http://"))
    yield found
    found.close()


def tensors(module: Any, rows: list[dict[str, Any]], *, binary: bool) -> list[Any]:
    """A tensor per feature; a missing number is NaN."""
    numbers = [np.nan if row["age"] is None else row["age"] for row in rows]
    columns = {
        "age": np.array(numbers, dtype=np.float64),
        "children": np.array([[row["children"]] for row in rows], dtype=np.int64),
        "member": np.array([row["member"] for row in rows], dtype=np.bool_),
        "since": np.array([row["since"].encode() for row in rows], dtype=np.object_),
        "city": np.array([row["city"].encode() for row in rows], dtype=np.object_),
    }
    kinds = {"age": "FP64", "children": "INT64", "member": "BOOL", "since": "BYTES", "city": "BYTES"}
    found: list[Any] = []
    for name, values in columns.items():
        tensor = module.InferInput(name, list(values.shape), kinds[name])
        tensor.set_data_from_numpy(values, binary_data=binary)
        found.append(tensor)
    return found


def test_the_server_and_its_models_describe_themselves(client: Any, demo: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("demo")
    assert client.is_model_ready("demo", "3")
    assert not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("demo", "3")
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"][1] == {"name": "children", "datatype": "INT64", "shape": [-1]}
    assert metadata["outputs"][1] == {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]}
    config = client.get_model_config("demo")
    assert [one["data_type"] for one in config["input"]] == [
        "TYPE_FP64",
        "TYPE_INT64",
        "TYPE_BOOL",
        "TYPE_STRING",
        "TYPE_STRING",
    ]
    names = {model["name"] for model in client.get_model_repository_index()}
    assert {"demo", "number", "plain"} <= names


def test_statistics_count_rows(client: Any, rows: list[dict[str, Any]]) -> None:
    before = client.get_inference_statistics("demo", "3")["model_stats"][0]["inference_count"]
    client.infer("demo", tensors(triton, rows, binary=True))
    assert client.get_inference_statistics("demo")["model_stats"][0]["inference_count"] == before + len(rows)
    assert {one["name"] for one in client.get_inference_statistics()["model_stats"]} >= {"demo", "number"}


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
def test_tensors_travel_both_ways(
    client: Any, demo: Any, *, binary_in: bool, binary_out: bool, packing: str | None
) -> None:
    many = [
        {"age": 20.0 + n, "children": n % 5, "member": n % 2 == 0, "since": "2020-01-01", "city": "Oslo"}
        for n in range(300)
    ]
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("predict", "probabilities")]
    answer = client.infer(
        "demo",
        tensors(triton, many, binary=binary_in),
        outputs=wanted,
        request_id="call-1",
        request_compression_algorithm=packing,
        response_compression_algorithm=packing,
    )
    assert answer.get_response()["id"] == "call-1"
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (300, 3)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    expected = demo.replica.http.post("/predict/demo/batch", json={"inputs": many}).json()["predictions"]
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("predict").tolist()]
    assert labels == [row["prediction"] for row in expected]
    assert probabilities[:, 2].tolist() == [row["probabilities"]["yes"] for row in expected]


def test_one_matrix_and_narrow_numbers_are_widened(client: Any) -> None:
    values = np.array([[30.0, 1.0], [np.nan, 2.0]])
    seen: list[Any] = []
    for dtype, name in ((np.float64, "FP64"), (np.float32, "FP32"), (np.float16, "FP16")):
        tensor = triton.InferInput("input-0", [2, 2], name)
        tensor.set_data_from_numpy(values.astype(dtype))
        seen.append(client.infer("plain", [tensor]).as_numpy("probabilities").tolist())
    assert seen[0] == seen[1] == seen[2]
    for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"):
        tensor = triton.InferInput("input-0", [1, 2], name)
        tensor.set_data_from_numpy(np.array([[30, 1]], dtype=name.lower()))
        assert client.infer("plain", [tensor]).as_numpy("probabilities").tolist()[0] == seen[0][0]


def test_single_outputs_are_asked_for_by_name(client: Any, rows: list[dict[str, Any]]) -> None:
    wanted = [triton.InferRequestedOutput(name) for name in ("probability_yes", "confidence", "low_confidence")]
    answer = client.infer("demo", tensors(triton, rows, binary=True), outputs=wanted)
    assert [output["name"] for output in answer.get_response()["outputs"]] == [
        "probability_yes",
        "confidence",
        "low_confidence",
    ]
    assert answer.as_numpy("low_confidence").dtype == np.bool_


def test_refusals_reach_the_client_in_words(client: Any, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InferenceServerException, match="no public model"):
        client.infer("nothing", tensors(triton, rows, binary=True))
    with pytest.raises(InferenceServerException, match="no output"):
        client.infer(
            "demo", tensors(triton, rows, binary=True), outputs=[triton.InferRequestedOutput("nothing-of-this-name")]
        )
    with pytest.raises(InferenceServerException, match="city"):
        client.infer("demo", tensors(triton, rows, binary=True)[:4])
    with pytest.raises(InferenceServerException):
        client.load_model("demo")


async def test_the_asynchronous_client_is_served(demo: Any, rows: list[dict[str, Any]]) -> None:
    async with triton_aio.InferenceServerClient(demo.url.removeprefix("http://")) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready("demo")
        for packing in (None, "gzip", "deflate"):
            answer = await client.infer(
                "demo",
                tensors(triton_aio, rows, binary=packing != "gzip"),
                request_compression_algorithm=packing,
                response_compression_algorithm=packing,
            )
            assert answer.as_numpy("probabilities").shape == (4, 3)
