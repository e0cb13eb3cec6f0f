"""XGBoost's own library, from UBJ. Used where the forest engine does not reproduce it."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The library's annotations are partial; this module is the typed wrapper around it.

from collections.abc import Mapping
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, EnginePayload, Shape, Source, both_classes, refuse, the_file
from mill_pack.errors import EngineMissing, InvalidPackage

FILE = "model.ubj"


class XGBoostEngine:
    def __init__(self, booster: Any, shape: Shape, size: int) -> None:
        self._booster = booster
        self._shape = shape
        self.nbytes = 3 * size + (1 << 16)

    def outputs(self, matrix: FloatArray) -> FloatArray:
        result: Any = self._booster.inplace_predict(matrix, missing=np.nan)
        if not self._shape.is_classifier:
            return np.asarray(result, dtype=np.float64).reshape(-1, 1)
        return both_classes(result) if self._shape.outputs == 2 else np.asarray(result, dtype=np.float64)

    def outputs_one(self, vector: FloatArray) -> list[float]:
        return self.outputs(vector[None, :])[0].tolist()


def ubj(estimator: Any) -> bytes:
    """The trees that predict: up to the best iteration where training stopped early."""
    booster = estimator.get_booster()
    best = getattr(estimator, "best_iteration", None) if estimator.early_stopping_rounds else None
    trees = booster if best is None else booster[: best + 1]
    return bytes(trees.save_raw("ubj"))


def build(source: Source) -> EnginePayload:
    if source.framework != "xgboost" or not hasattr(source.estimator, "get_booster"):
        raise refuse("xgboost", source)
    return EnginePayload("xgboost", {FILE: ubj(source.estimator)})


def load(files: Mapping[str, Blob], shape: Shape) -> XGBoostEngine:
    try:
        import xgboost
    except ImportError as error:
        raise EngineMissing("This model needs the library xgboost; install mill-pack[xgboost].") from error
    content = bytearray(the_file(files, FILE))
    try:
        booster = xgboost.Booster(params={"nthread": 1})
        booster.load_model(content)
        features, classes = booster.num_features(), _classes(booster)
    except (xgboost.core.XGBoostError, ValueError, KeyError) as error:
        raise InvalidPackage("The XGBoost model cannot be read.") from error
    if features != shape.width or (shape.is_classifier and classes != shape.outputs):
        raise InvalidPackage("The XGBoost model does not fit the model's width and classes.")
    booster.feature_names = None
    booster.feature_types = None
    return XGBoostEngine(booster, shape, len(content))


def _classes(booster: Any) -> int:
    import json

    learner = json.loads(booster.save_config())["learner"]
    return max(2, int(learner["learner_model_param"]["num_class"]))
