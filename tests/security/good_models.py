"""Small good models of every format that may be uploaded, with what their own library says of some rows."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportArgumentType=false
# The ML libraries are untyped or partly typed; this module is where the tests touch them.

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import skops.io
import xgboost
from mill_contracts.adoption import ModelFileFormat, ModelFramework
from numpy.typing import NDArray
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

Floats = NDArray[np.float64]
FRAMEWORKS = {
    ModelFileFormat.XGBOOST_JSON: ModelFramework.XGBOOST,
    ModelFileFormat.XGBOOST_UBJ: ModelFramework.XGBOOST,
    ModelFileFormat.LIGHTGBM_TEXT: ModelFramework.LIGHTGBM,
    ModelFileFormat.ONNX: ModelFramework.ONNX,
    ModelFileFormat.SKOPS: ModelFramework.SKLEARN,
}


@dataclass(frozen=True)
class Good:
    """A file, rows, and the library's own answers: probabilities, or one column of values."""

    name: str
    format: ModelFileFormat
    data: bytes
    rows: Floats
    expected: Floats
    is_classifier: bool

    @property
    def framework(self) -> ModelFramework:
        return FRAMEWORKS[self.format]


def good_models(kind: ModelFileFormat) -> list[Good]:
    """Classifiers of two and three classes and regressors; single precision rows, so that ONNX sees the same numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_MAKERS[kind](kind))


def _data() -> list[tuple[str, Floats, Any]]:
    found: list[tuple[str, Floats, Any]] = []
    for name, load in (("two classes", load_breast_cancer), ("three classes", load_iris), ("values", load_diabetes)):
        x, y = load(return_X_y=True)
        found.append((name, np.asarray(x, np.float32).astype(np.float64)[:140], np.asarray(y)[:140]))
    return found


def _xgboost(kind: ModelFileFormat) -> Iterator[Good]:
    for name, x, y in _data():
        made: Any = xgboost.XGBRegressor if name == "values" else xgboost.XGBClassifier
        model = made(n_estimators=4, max_depth=3, n_jobs=1).fit(x, y)
        data = bytes(model.get_booster().save_raw("json" if kind is ModelFileFormat.XGBOOST_JSON else "ubj"))
        yield _good(name, kind, data, x, model)
    x, y = np.random.default_rng(1).integers(0, 6, (200, 3)).astype(np.float64), None
    y = (x[:, 0] == 2) | (x[:, 1] > 3)
    table = xgboost.DMatrix(x, y, feature_types=["c", "q", "c"], enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1, "nthread": 1}, table, 4)
    data = bytes(booster.save_raw("json" if kind is ModelFileFormat.XGBOOST_JSON else "ubj"))
    positive = np.asarray(booster.predict(table), np.float64)
    yield Good("categories", kind, data, x, np.stack([1 - positive, positive], axis=1), True)


def _lightgbm(kind: ModelFileFormat) -> Iterator[Good]:
    for name, x, y in _data():
        made: Any = lightgbm.LGBMRegressor if name == "values" else lightgbm.LGBMClassifier
        model = made(n_estimators=4, num_leaves=7, verbose=-1, n_jobs=1).fit(x, y)
        yield _good(name, kind, model.booster_.model_to_string().encode(), x, model)
    x = np.random.default_rng(1).integers(0, 6, (300, 3)).astype(np.float64)
    model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1, min_child_samples=5)
    model.fit(x, (x[:, 0] == 2) | (x[:, 1] > 3), categorical_feature=[0, 2])
    yield _good("categories", kind, model.booster_.model_to_string().encode(), x, model)


def _skops(kind: ModelFileFormat) -> Iterator[Good]:
    (_, x2, y2), (_, x3, y3), (_, x1, y1) = _data()
    estimators: list[tuple[Any, Floats, Any]] = [
        (RandomForestClassifier(3, max_depth=4, n_jobs=1), x2, y2),
        (ExtraTreesClassifier(3, max_depth=4, n_jobs=1), x3, y3),
        (GradientBoostingClassifier(n_estimators=3), x3, y3),
        (HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5), x2, y2),
        (DecisionTreeClassifier(max_depth=4), x3, y3),
        (MLPClassifier((5,), max_iter=20), x3, y3),
        (make_pipeline(StandardScaler(), LogisticRegression()), x2, y2),
        (make_pipeline(SimpleImputer(), MinMaxScaler(), Ridge()), x1, y1),
        (RandomForestRegressor(3, max_depth=4, n_jobs=1), x1, y1),
        (GradientBoostingRegressor(n_estimators=3), x1, y1),
    ]
    for estimator, x, y in estimators:
        model = estimator.fit(x, y)
        yield _good(_called(model), kind, skops.io.dumps(model), x, model)


def _onnx(kind: ModelFileFormat) -> Iterator[Good]:
    for name, x, y in _data():
        regressors: list[Any] = [
            RandomForestRegressor(3, max_depth=4),
            GradientBoostingRegressor(n_estimators=3),
            Ridge(),
        ]
        classifiers: list[Any] = [
            RandomForestClassifier(3, max_depth=4),
            HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5),
            make_pipeline(StandardScaler(), LogisticRegression()),
        ]
        for estimator in regressors if name == "values" else classifiers:
            model = estimator.fit(x, y)
            converted: Any = to_onnx(model, x[:1].astype(np.float32))
            yield _of_runtime(f"{_called(model)}, {name}", kind, converted.SerializeToString(), x, name != "values")
        made: Any = xgboost.XGBRegressor if name == "values" else xgboost.XGBClassifier
        model = made(n_estimators=4, max_depth=3, n_jobs=1).fit(x, y)
        shape = [("x", FloatTensorType([None, x.shape[1]]))]
        data = onnxmltools.convert_xgboost(model, initial_types=shape).SerializeToString()
        yield _of_runtime(f"XGBoost, {name}", kind, data, x, name != "values")


def _called(model: Any) -> str:
    return " + ".join(type(step).__name__ for _, step in getattr(model, "steps", [("", model)]))


def _good(name: str, kind: ModelFileFormat, data: bytes, x: Floats, model: Any) -> Good:
    predict = getattr(model, "predict_proba", None) or model.predict
    expected = np.asarray(predict(x), np.float64).reshape(len(x), -1)
    return Good(name, kind, data, x, expected, hasattr(model, "predict_proba"))


def _of_runtime(name: str, kind: ModelFileFormat, data: bytes, x: Floats, is_classifier: bool) -> Good:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    last: Any = session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[-1]
    if isinstance(last, list):
        last = [list(row.values()) for row in last]
    return Good(name, kind, data, x, np.asarray(last, np.float64).reshape(len(x), -1), is_classifier)


_MAKERS = {
    ModelFileFormat.XGBOOST_JSON: _xgboost,
    ModelFileFormat.XGBOOST_UBJ: _xgboost,
    ModelFileFormat.LIGHTGBM_TEXT: _lightgbm,
    ModelFileFormat.ONNX: _onnx,
    ModelFileFormat.SKOPS: _skops,
}
