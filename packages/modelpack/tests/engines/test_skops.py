"""A skops file may build the listed types and nothing else, whatever skops itself would trust."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from mill_pack import EngineRefused, FloatArray, InvalidPackage, build_engine
from mill_pack.engines import Shape, load_engine

SHAPE = Shape(6, 2, is_classifier=True)


@pytest.fixture
def content(fitted: Any) -> bytes:
    model = fitted("knn", "binary")
    payload = build_engine("scikit-learn", "knn", model.estimator, 6, model.classes, "skops")
    return payload.files["estimator.skops"]


def city_block(one: FloatArray, two: FloatArray) -> float:
    return float(np.abs(one - two).sum())


def changed(content: bytes, change: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            entry = old.read(name)
            if name == "schema.json":
                schema = json.loads(entry)
                change(schema)
                entry = json.dumps(schema).encode()
            new.writestr(name, entry)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("os", "system", "FunctionNode"),
        ("builtins", "eval", "FunctionNode"),
        ("subprocess", "Popen", "ObjectNode"),
        ("sklearn.linear_model._logistic", "LogisticRegression", "ObjectNode"),
        ("numpy", "fromfile", "FunctionNode"),
        ("builtins", "dict", "PartialNode"),
        ("operator", "methodcaller", "OperatorFuncNode"),
    ],
)
def test_a_type_that_is_not_listed_is_refused(content: bytes, module: str, name: str, loader: str) -> None:
    def smuggle(schema: Any) -> None:
        schema["content"]["content"]["metric_params"] = {
            "__module__": module,
            "__class__": name,
            "__loader__": loader,
            "__id__": 999_999,
            "content": "{}",
        }

    with pytest.raises(InvalidPackage, match="not allowed"):
        load_engine("skops", {"estimator.skops": changed(content, smuggle)}, SHAPE)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01.", b"x" * 1000])
def test_what_is_no_skops_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidPackage):
        load_engine("skops", {"estimator.skops": content}, SHAPE)


def test_an_estimator_with_a_function_of_the_user_is_refused(fitted: Any) -> None:
    estimator = fitted("knn", "binary").estimator
    estimator_with_function = type(estimator)(metric=city_block)
    estimator_with_function.fit([[0.0, 1.0]] * 6, [0, 1] * 3)
    with pytest.raises(EngineRefused):
        build_engine("scikit-learn", "knn", estimator_with_function, 2, ("no", "yes"), "skops")
