"""LightGBM's own library, from its text format. Used where the forest engine does not reproduce it."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The library's annotations are partial; this module is the typed wrapper around it.

from collections.abc import Mapping
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, EnginePayload, Shape, Source, both_classes, refuse, the_file
from mill_pack.errors import EngineMissing, InvalidPackage

FILE = "model.txt"


class LightGBMEngine:
    def __init__(self, booster: Any, shape: Shape, size: int) -> None:
        self._booster = booster
        self._shape = shape
        self.nbytes = 3 * size + (1 << 16)

    def outputs(self, matrix: FloatArray) -> FloatArray:
        result = np.asarray(self._booster.predict(matrix, num_threads=1, verbosity=-1), dtype=np.float64)
        if not self._shape.is_classifier:
            return result.reshape(-1, 1)
        return both_classes(result) if self._shape.outputs == 2 else result

    def outputs_one(self, vector: FloatArray) -> list[float]:
        return self.outputs(vector[None, :])[0].tolist()


def text(estimator: Any) -> str:
    """The trees that predict: up to the best iteration where training stopped early."""
    return estimator.booster_.model_to_string(importance_type="split")


def build(source: Source) -> EnginePayload:
    if source.framework != "lightgbm" or not hasattr(source.estimator, "booster_"):
        raise refuse("lightgbm", source)
    return EnginePayload("lightgbm", {FILE: text(source.estimator).encode()})


def load(files: Mapping[str, Blob], shape: Shape) -> LightGBMEngine:
    try:
        import lightgbm
    except ImportError as error:
        raise EngineMissing("This model needs the library lightgbm; install mill-pack[lightgbm].") from error
    content = bytes(the_file(files, FILE))
    try:
        booster = lightgbm.Booster(model_str=content.decode())
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError, ValueError) as error:
        raise InvalidPackage("The LightGBM model cannot be read.") from error
    scores = 1 if shape.outputs <= 2 else shape.outputs
    if booster.num_feature() != shape.width or booster.num_model_per_iteration() != scores:
        raise InvalidPackage("The LightGBM model does not fit the model's width and classes.")
    return LightGBMEngine(booster, shape, len(content))
