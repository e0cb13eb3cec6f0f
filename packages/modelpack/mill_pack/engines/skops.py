"""Estimators of scikit-learn without an engine of their own, as skops files. Only the types listed here are ever built."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# skops and scikit-learn are untyped; this module is the typed wrapper around them.

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, EnginePayload, Shape, Source, refuse, the_file
from mill_pack.errors import EngineMissing, InvalidPackage

FILE = "estimator.skops"
MAX_SCHEMA = 64 << 20


class SkopsEngine:
    def __init__(self, estimator: Any, shape: Shape, size: int) -> None:
        self._estimator = estimator
        self._is_classifier = shape.is_classifier
        self.nbytes = 2 * size + (1 << 16)

    def outputs(self, matrix: FloatArray) -> FloatArray:
        if self._is_classifier:
            return np.asarray(self._estimator.predict_proba(matrix), dtype=np.float64)
        return np.asarray(self._estimator.predict(matrix), dtype=np.float64).reshape(-1, 1)

    def outputs_one(self, vector: FloatArray) -> list[float]:
        return self.outputs(vector[None, :])[0].tolist()


_SAFE_TYPES = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.float64",
        "numpy.int64",
        "numpy.uint64",
        "numpy.ndarray",
        "numpy.random._generator.Generator",
        "numpy.random.mtrand.RandomState",
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfGammaLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfPoissonLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss._loss.CyPinballLoss",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.PinballLoss",
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._forest.ExtraTreesRegressor",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.neighbors._classification.KNeighborsClassifier",
        "sklearn.neighbors._regression.KNeighborsRegressor",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._classes.ExtraTreeClassifier",
        "sklearn.tree._classes.ExtraTreeRegressor",
    }
)

_VOUCHED_FOR = (
    # skops does not trust these by itself; each is scikit-learn's own and holds arrays only
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
)

_SAFE_LOADERS = frozenset(
    {
        "DictNode",
        "JsonNode",
        "ListNode",
        "LossNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomGeneratorNode",
        "RandomStateNode",
        "TreeNode",
        "TupleNode",
        "TypeNode",
    }
)
_IDS = re.compile(rb'("__id__": |"file": ")(\d+)')


def build(source: Source) -> EnginePayload:
    if source.framework != "scikit-learn":
        raise refuse("skops", source)
    import skops.io

    content = _without_addresses(skops.io.dumps(source.estimator))
    try:
        _check_types(content)
    except InvalidPackage as error:
        raise refuse("skops", source) from error
    return EnginePayload("skops", {FILE: content})


def load(files: Mapping[str, Blob], shape: Shape) -> SkopsEngine:
    try:
        import skops.io
    except ImportError as error:
        raise EngineMissing("This model needs scikit-learn and skops; install mill-pack[sklearn].") from error
    content = bytes(the_file(files, FILE))
    _check_types(content)
    try:
        estimator: Any = skops.io.loads(content, trusted=list(_VOUCHED_FOR))
    except Exception as error:  # whatever a damaged file makes scikit-learn's constructors raise
        raise InvalidPackage("The skops file cannot be read.") from error
    outputs = len(getattr(estimator, "classes_", ())) if shape.is_classifier else 1
    if getattr(estimator, "n_features_in_", None) != shape.width or outputs != shape.outputs:
        raise InvalidPackage("The estimator does not fit the model's width and classes.")
    return SkopsEngine(estimator, shape, len(content))


def _check_types(content: bytes) -> None:
    """Stricter than skops: a type it trusts by itself is refused too unless it is listed here."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo("schema.json").file_size > MAX_SCHEMA:
                raise InvalidPackage("The skops file's schema is too large.")
            schema: Any = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError) as error:
        raise InvalidPackage("The skops file is damaged.") from error
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__loader__" in node or "__class__" in node or "__module__" in node:
                _check_node(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _check_node(node: dict[str, Any]) -> None:
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    if name not in _SAFE_TYPES and name not in _VOUCHED_FOR:
        raise InvalidPackage(f"The skops file holds the type {name[:200]!r}, which is not allowed.")
    if node.get("__loader__") not in _SAFE_LOADERS:
        raise InvalidPackage(
            f"The skops file uses the loader {str(node.get('__loader__'))[:80]!r}, which is not allowed."
        )


def _without_addresses(content: bytes) -> bytes:
    """skops names files after memory addresses and stamps them with the time; the same estimator shall give the same bytes."""
    numbers: dict[bytes, bytes] = {}

    def renumber(match: re.Match[bytes]) -> bytes:
        return match.group(1) + numbers.setdefault(match.group(2), str(len(numbers) + 1).encode())

    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(result, "w", zipfile.ZIP_STORED) as new:
        schema = _IDS.sub(renumber, old.read("schema.json"))
        entries = {name: old.read(name) for name in old.namelist() if name != "schema.json"}
        for name, entry in {**entries, "schema.json": schema}.items():
            stem, _, suffix = name.partition(".")
            new_name = f"{numbers[stem.encode()].decode()}.{suffix}" if stem.encode() in numbers else name
            new.writestr(zipfile.ZipInfo(new_name), entry)
    return result.getvalue()
