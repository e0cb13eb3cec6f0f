"""Tree ensembles as validated arrays (`mill_forest`): the library's own predictions, one to two orders of magnitude sooner."""

from collections.abc import Mapping

from mill_forest import (
    Forest,
    ForestError,
    Predictor,
    Task,
    from_bytes,
    from_sklearn,
    read_lightgbm,
    read_xgboost,
    to_bytes,
)

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, EnginePayload, Shape, Source, refuse, the_file
from mill_pack.errors import EngineRefused, ExplainUnsupported, InvalidPackage

FILE = "forest.mf"


class ForestEngine:
    def __init__(self, forest: Forest, shape: Shape) -> None:
        is_classifier = forest.task is not Task.REGRESSION
        if (forest.n_features, forest.n_outputs, is_classifier) != (shape.width, shape.outputs, shape.is_classifier):
            raise InvalidPackage("The forest does not fit the model's width and classes.")
        self._predictor = Predictor(forest)
        self._predict_one = self._predictor.predict_one
        self.nbytes = 5 * forest.nbytes // 2  # the arrays, and the kernel's own layout of them

    def outputs(self, matrix: FloatArray) -> FloatArray:
        return self._predictor.predict(matrix)

    def outputs_by(self, matrix: FloatArray, threads: int) -> FloatArray:
        return self._predictor.predict(matrix, threads)

    def outputs_one(self, vector: FloatArray) -> list[float]:
        return self._predict_one(vector).tolist()

    def contributions(self, matrix: FloatArray) -> FloatArray:
        """Exact TreeSHAP."""
        try:
            return self._predictor.contributions(matrix)
        except ForestError as error:
            raise ExplainUnsupported(f"This forest cannot be explained: {error}") from error


def build(source: Source) -> EnginePayload:
    try:
        forest = _read(source)
    except ForestError as error:
        raise EngineRefused(f"The forest engine cannot serve this model: {error}") from error
    return EnginePayload("forest", {FILE: to_bytes(forest)})


def _read(source: Source) -> Forest:
    if source.framework == "xgboost" and hasattr(source.estimator, "get_booster"):
        from mill_pack.engines.xgboost import ubj

        return read_xgboost(ubj(source.estimator))
    if source.framework == "lightgbm" and hasattr(source.estimator, "booster_"):
        from mill_pack.engines.lightgbm import text

        return read_lightgbm(text(source.estimator))
    if source.framework == "scikit-learn":
        return from_sklearn(source.estimator)
    raise refuse("forest", source)


def load(files: Mapping[str, Blob], shape: Shape) -> ForestEngine:
    try:
        return ForestEngine(from_bytes(the_file(files, FILE)), shape)
    except ForestError as error:
        raise InvalidPackage(f"The forest cannot be read: {error}") from error
