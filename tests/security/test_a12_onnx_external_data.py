"""A12: ONNX tensors that lie in other files, attributes that claim petabytes, operators of foreign domains."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false, reportUnnecessaryIsInstance=false
# onnx's messages are made at run time.

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from mill_contracts.adoption import ModelFileFormat, ModelFramework

from tests.security.good_models import good_models
from tests.security.rooms import Rooms

PATHS = ("/etc/passwd", "../../../etc/passwd", "..\\secrets", "\0", "weights.bin", "/proc/self/environ", "a/../../b")


@pytest.fixture(scope="module")
def good() -> bytes:
    return good_models(ModelFileFormat.ONNX)[0].data


def tensor(model: Any, **external: str) -> Any:
    made = model.graph.initializer.add(name="w", data_type=1, dims=[4])
    made.data_location = 1
    for key, value in external.items():
        made.external_data.add(key=key, value=value)
    return made


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    model = onnx.ModelProto.FromString(data)
    change(model)
    return model.SerializeToString()


@pytest.mark.parametrize("path", PATHS)
def test_external_data_are_refused_wherever_they_point(rooms: Rooms, good: bytes, path: str) -> None:
    huge = str(2**62)
    for change in (
        lambda model: tensor(model, location=path),
        lambda model: tensor(model, location=path, offset=huge, length=huge, checksum="x"),
        lambda model: tensor(model).ClearField("data_location") or tensor(model, location=path),
        lambda model: (
            model.graph.node[0].attribute.add(name="t", type=4).t.external_data.add(key="location", value=path)
        ),
        lambda model: model.graph.sparse_initializer.add().values.external_data.add(key="location", value=path),
    ):
        rooms.refusal(ModelFramework.ONNX, changed(good, change))


def test_foreign_operators_domains_and_parts_are_refused(rooms: Rooms, good: bytes) -> None:
    def op(name: str, domain: str) -> Callable[[Any], object]:
        def change(model: Any) -> None:
            model.graph.node[0].op_type, model.graph.node[0].domain = name, domain

        return change

    for change in (
        op("PyOp", "ai.onnx.contrib"),
        op("FusedMatMul", "com.microsoft"),
        op("If", ""),
        op("Loop", ""),
        lambda model: model.opset_import.add(domain="custom", version=1),
        lambda model: model.functions.add(name="TreeEnsembleClassifier", domain="ai.onnx.ml"),
        lambda model: model.training_info.add(),
        lambda model: model.graph.node[0].attribute.add(name="g", type=5),
        lambda model: model.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_value"),
    ):
        rooms.refusal(ModelFramework.ONNX, changed(good, change))


def test_lengths_that_claim_petabytes_cost_nothing(rooms: Rooms, good: bytes) -> None:
    for claim in (b"\xff" * 8 + b"\x7f", b"\xff\xff\xff\xff\x0f", b"\x80" * 12):
        rooms.refusal(ModelFramework.ONNX, good + b"\x3a" + claim)
        rooms.refusal(ModelFramework.ONNX, b"\x08\x07\x3a" + claim + good)
