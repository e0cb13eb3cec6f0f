"""scikit-learn models from skops files: checked by `skops_archive`, built by skops, then taken apart into our own arrays."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# skops and scikit-learn are untyped; this module is the typed wrapper around them.

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from mill_contracts.adoption import ModelFileFormat

from mill_pack.arrays import FloatArray
from mill_pack.engines import check_engine
from mill_pack.engines.base import EnginePayload
from mill_pack.engines.registry import build_engine, engine_kinds, passes
from mill_pack.errors import EngineMissing, EngineRefused, InvalidPackage
from mill_pack.outside.bounds import MAX_CLASSES, MAX_FEATURES, MAX_LAYERS
from mill_pack.outside.errors import ModelFileRejected
from mill_pack.outside.found import Found, FoundModel, InputStep
from mill_pack.outside.probing import document_rows, forest_of, probe_rows
from mill_pack.outside.skops_archive import checked
from mill_pack.outside.skops_types import ESTIMATORS, STEPS, VOUCHED_FOR

_TAKES_MISSING = ("HistGradientBoosting", "RandomForest", "ExtraTrees", "DecisionTree")
_SUPPORTED = (
    "decision trees, random forests, extra trees, (histogram) gradient boosting, linear and logistic regression, ridge, lasso, "
    "elastic net and MLP"
)


def read_skops(data: bytes) -> Found:
    """Raises `ModelFileRejected`, `CodeInModelFile`. Runs in the sandbox: scikit-learn builds objects of the file."""
    content, _ = checked(data)
    whole = _loaded(content)
    prepare, estimator = _parts(whole)
    kind = f"{type(estimator).__module__}.{type(estimator).__name__}"
    if kind not in ESTIMATORS:
        raise ModelFileRejected(f"{kind[:120]} cannot be served. Accepted are: {_SUPPORTED}; after them in a pipeline")
    width = _whole(getattr(whole, "n_features_in_", None) or getattr(estimator, "n_features_in_", None), MAX_FEATURES)
    if _whole(getattr(estimator, "n_features_in_", None), MAX_FEATURES) != width:
        raise ModelFileRejected("The steps of the pipeline change the number of columns")
    classes = _classes(estimator)
    steps = _steps(prepare, width)
    payload = _payload(kind, estimator, width, classes)
    # One StandardScaler is repeated to the bit; of other steps the last digit may differ, which decides on a threshold.
    exact = [type(part).__name__ for part in prepare] in ([], ["StandardScaler"])
    filled = any(step.fill is not None for step in steps)
    missing = _takes_missing(estimator) and not filled
    rows = probe_rows(width, forest_of(payload), missing=missing, exact=exact)
    rows, inside = _through(rows, steps)
    check = _check(payload, _library(prepare, estimator, rows), inside, classes)
    model = FoundModel(
        format=ModelFileFormat.SKOPS,
        algorithm=type(estimator).__name__,
        engine=payload.kind,  # pyright: ignore[reportArgumentType] - `_payload` takes no other
        width=width,
        outputs=len(classes) or 1,
        is_classifier=bool(classes),
        nullable=missing or filled,
        names=_names(whole, estimator, width),
        classes=classes,
        steps=steps,
        probes=document_rows(rows),
        check=check,
    )
    return Found(model, payload)


def _loaded(content: bytes) -> Any:
    import skops.io

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # another version of scikit-learn wrote it: the comparison below decides
            return skops.io.loads(content, trusted=list(VOUCHED_FOR))
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes constructors raise
        raise ModelFileRejected(f"skops cannot read the file: {type(error).__name__}: {str(error)[:200]}") from error


def _parts(whole: Any) -> tuple[list[Any], Any]:
    """The steps before the model, and the model."""
    if type(whole).__name__ != "Pipeline":
        return [], whole
    steps = getattr(whole, "steps", None)
    if (
        not isinstance(steps, list)
        or not steps
        or not all(isinstance(step, tuple) and len(step) == 2 for step in steps)
    ):
        raise ModelFileRejected("The pipeline has no steps")
    parts = [step[1] for step in steps]
    for part in parts[:-1]:
        kind = f"{type(part).__module__}.{type(part).__name__}"
        if kind not in STEPS:
            raise ModelFileRejected(
                f"The pipeline's step {kind[:120]} cannot be served; accepted before a model are SimpleImputer, "
                "StandardScaler and MinMaxScaler"
            )
    return parts[:-1], parts[-1]


def _payload(kind: str, estimator: Any, width: int, classes: Sequence[str]) -> EnginePayload:
    if len(getattr(estimator, "coefs_", ())) > MAX_LAYERS:
        raise ModelFileRejected(f"More than {MAX_LAYERS} layers")
    if classes and not hasattr(estimator, "predict_proba"):
        raise ModelFileRejected("A classifier without probabilities cannot be served")
    try:
        engine = engine_kinds("scikit-learn", estimator)[0]
        payload = build_engine("scikit-learn", kind.rpartition(".")[2], estimator, width, classes, engine)
    except (EngineRefused, EngineMissing, InvalidPackage) as problem:
        raise ModelFileRejected(problem.detail) from problem
    except MemoryError:
        raise
    except Exception as error:  # an estimator whose parts do not fit each other
        raise ModelFileRejected(f"The estimator is not whole: {type(error).__name__}: {str(error)[:200]}") from error
    if payload.kind not in ("forest", "linear", "mlp"):
        raise ModelFileRejected(f"{kind} cannot be served. Accepted are: {_SUPPORTED}")
    return payload


def _library(prepare: list[Any], estimator: Any, rows: FloatArray) -> FloatArray:
    """What scikit-learn itself says of the rows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in ("n_jobs", "verbose"):
                if hasattr(estimator, name):
                    setattr(estimator, name, 1 if name == "n_jobs" else 0)
            values: Any = rows
            for part in prepare:
                values = part.transform(values)
            predict = getattr(estimator, "predict_proba", None) or estimator.predict
            return np.asarray(predict(values), np.float64).reshape(len(rows), -1)
    except MemoryError:
        raise
    except Exception as error:  # an estimator whose parts do not fit each other
        raise ModelFileRejected(f"scikit-learn cannot use the model: {str(error)[:200]}") from error


def _check(payload: EnginePayload, expected: FloatArray, inside: FloatArray, classes: Sequence[str]) -> Any:
    if expected.shape[1] != (len(classes) or 1):
        raise ModelFileRejected(f"scikit-learn gives {expected.shape[1]} columns for {len(classes) or 1} classes")
    try:
        check = check_engine(payload, lambda _: expected, inside, classes)
    except InvalidPackage as problem:
        raise ModelFileRejected(problem.detail) from problem
    if not passes(check):
        raise ModelFileRejected(
            f"The rewritten model differs from scikit-learn by {check.largest_difference:g} on rows made up for it"
        )
    return check


def _steps(prepare: list[Any], width: int) -> tuple[InputStep, ...]:
    """The pipeline's steps as one shift and scale for each column, after filling what is missing."""
    if not prepare:
        return ()
    fill: list[float | None] = [None] * width
    shift, scale = np.zeros(width), np.ones(width)
    try:
        for number, part in enumerate(prepare):
            name = type(part).__name__
            if name == "SimpleImputer":
                if number or part.add_indicator:
                    raise ModelFileRejected("SimpleImputer is accepted as the first step and without an indicator")
                fill = [float(value) for value in np.asarray(part.statistics_, np.float64).reshape(width)]
                continue
            by, unit = _scaler(part, name, width)
            shift, scale = shift + by * scale, scale * unit
        return tuple(
            InputStep(fill=one, shift=float(by), scale=float(unit))
            for one, by, unit in zip(fill, shift, scale, strict=True)
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelFileRejected(f"A step of the pipeline is not whole: {str(error)[:200]}") from error


def _scaler(part: Any, name: str, width: int) -> tuple[FloatArray, FloatArray]:
    """(value - by) / unit."""
    if name == "MinMaxScaler":
        if part.clip:
            raise ModelFileRejected("MinMaxScaler with clip cannot be served")
        unit = 1.0 / np.asarray(part.scale_, np.float64).reshape(width)
        return -np.asarray(part.min_, np.float64).reshape(width) * unit, unit
    by = np.zeros(width) if part.mean_ is None else np.asarray(part.mean_, np.float64).reshape(width)
    unit = np.ones(width) if part.scale_ is None else np.asarray(part.scale_, np.float64).reshape(width)
    return (by if part.with_mean else np.zeros(width)), (unit if part.with_std else np.ones(width))


def _through(inside: FloatArray, steps: Sequence[InputStep]) -> tuple[FloatArray, FloatArray]:
    """Rows that the steps turn into these, and what the steps as the encoder computes them make of the rows."""
    if not steps:
        return inside, inside
    shift, scale = np.array([step.shift for step in steps]), np.array([step.scale for step in steps])
    rows = inside * scale + shift
    return rows, (rows - shift) / scale


def _classes(estimator: Any) -> tuple[str, ...]:
    found = getattr(estimator, "classes_", None)
    if found is None:
        return ()
    labels = np.asarray(found)
    if labels.ndim != 1 or not 2 <= len(labels) <= MAX_CLASSES or labels.dtype.kind not in "OUiufb":
        raise ModelFileRejected(f"The model needs between 2 and {MAX_CLASSES} classes of one target")
    return tuple(str(label) for label in labels.tolist())


def _names(whole: Any, estimator: Any, width: int) -> tuple[str, ...]:
    for owner in (whole, estimator):
        names = getattr(owner, "feature_names_in_", None)
        if names is not None and len(names) == width:
            return tuple(str(name) for name in names)
    return ()


def _takes_missing(estimator: Any) -> bool:
    """Trees route missing values by what they learnt; scikit-learn's forests only where training had any."""
    name = type(estimator).__name__
    if name.startswith("HistGradientBoosting"):
        return True
    if not name.startswith(_TAKES_MISSING):
        return False
    trees = getattr(estimator, "estimators_", None) or [estimator]
    return bool(np.asarray(trees[0].tree_.missing_go_to_left).any())


def _whole(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= most:
        raise ModelFileRejected(f"The model needs between 1 and {most:,} features")
    return int(value)
