"""Which engine serves which algorithm. A heavy library is imported when its engine is used, not before."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from mill_contracts.training import EngineCheck

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob, Engine, EngineKind, EnginePayload, Shape, Source
from mill_pack.errors import EngineMissing, EngineRefused, InvalidPackage

ReferencePredict = Callable[[FloatArray], Any]
"""The library's own answer on encoded rows: (n, classes) probabilities, or (n,) values."""

TOLERANCES: Mapping[str, float] = {
    "forest": 1e-6,
    "linear": 1e-9,
    "mlp": 1e-9,
    "xgboost": 1e-6,
    "lightgbm": 1e-9,
    "skops": 1e-9,
}
"""Largest difference from the library that may be published: absolute for probabilities, relative above 1 for values."""


class _EngineModule(Protocol):
    def build(self, source: Source) -> EnginePayload: ...
    def load(self, files: Mapping[str, Blob], shape: Shape) -> Engine: ...


def engine_kinds(framework: str, estimator: object) -> tuple[EngineKind, ...]:
    """Engines to try, the fastest first."""
    match framework:
        case "xgboost":
            return ("forest", "xgboost")
        case "lightgbm":
            return ("forest", "lightgbm")
        case _ if hasattr(estimator, "coefs_"):
            return ("mlp",)
        case _ if hasattr(estimator, "coef_"):
            return ("linear",)
        case _ if hasattr(estimator, "estimators_") or hasattr(estimator, "tree_") or hasattr(estimator, "_predictors"):
            return ("forest", "skops")
        case _:
            return ("skops",)


def build_engine(
    framework: str, algorithm: str, estimator: Any, width: int, classes: Sequence[str], kind: EngineKind | None = None
) -> EnginePayload:
    """The payload of one engine; without a kind the first that takes the estimator. `classes` empty means regression.

    `classes` are in the order of the estimator's own `classes_`. Raises `EngineRefused`.
    """
    source = Source(framework, algorithm, estimator, shape_of(width, classes))
    kinds = (kind,) if kind else engine_kinds(framework, estimator)
    for candidate in kinds[:-1]:
        try:
            return _module(candidate).build(source)
        except (EngineRefused, EngineMissing):
            continue
    return _module(kinds[-1]).build(source)


def choose_engine(
    framework: str,
    algorithm: str,
    estimator: Any,
    width: int,
    classes: Sequence[str],
    reference_predict: ReferencePredict,
    sample: FloatArray,
) -> tuple[EnginePayload, EngineCheck]:
    """The first engine that repeats the library on the sample (hold-out rows, encoded). Raises `EngineRefused` if none does."""
    refusals: list[str] = []
    for kind in engine_kinds(framework, estimator):
        try:
            payload = build_engine(framework, algorithm, estimator, width, classes, kind)
            check = check_engine(payload, reference_predict, sample, classes)
        except (EngineRefused, EngineMissing, InvalidPackage) as error:
            refusals.append(error.detail)
            continue
        if passes(check):
            return payload, check
        refusals.append(f"{kind} differs by {check.largest_difference:g} ({check.classes_differing} classes)")
    raise EngineRefused("No engine repeats the library's predictions: " + "; ".join(refusals))


def check_engine(
    payload: EnginePayload, reference_predict: ReferencePredict, sample: FloatArray, classes: Sequence[str] = ()
) -> EngineCheck:
    """Compare the engine, loaded from its payload as serving will load it, with the library on the same rows.

    Without `classes`, two or more columns in the reference mean probabilities.
    """
    reference = np.asarray(reference_predict(sample), dtype=np.float64)
    reference = reference.reshape(len(sample), -1)
    outputs = reference.shape[1]
    is_classifier = bool(classes) or outputs > 1
    engine = load_engine(payload.kind, payload.files, Shape(sample.shape[1], outputs, is_classifier))
    answer = engine.outputs(np.ascontiguousarray(sample))
    singles = np.array([engine.outputs_one(row) for row in sample[:50]]).reshape(-1, outputs)
    largest = max(largest_difference(reference, answer), largest_difference(reference[: len(singles)], singles))
    differing = int((answer.argmax(axis=1) != reference.argmax(axis=1)).sum()) if is_classifier else 0
    return EngineCheck(
        engine=payload.kind,
        rows_compared=len(sample),
        largest_difference=largest,
        classes_differing=differing,
        tolerance=TOLERANCES[payload.kind],
    )


def passes(check: EngineCheck) -> bool:
    return check.largest_difference <= check.tolerance and check.classes_differing == 0


def largest_difference(expected: FloatArray, actual: FloatArray) -> float:
    """Absolute up to 1, relative above; 1e308 where shapes or missing results disagree (a contract holds finite numbers only)."""
    if expected.shape != actual.shape:
        return 1e308
    if not expected.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(expected - actual) / np.maximum(1.0, np.abs(expected))
    difference = np.where((expected == actual) | (np.isnan(expected) & np.isnan(actual)), 0.0, difference)
    return float(np.nan_to_num(difference, nan=1e308, posinf=1e308).max())


def load_engine(kind: str, files: Mapping[str, Blob], shape: Shape) -> Engine:
    """Raises `InvalidPackage` for damaged or unfitting files, `EngineMissing` without the library."""
    if kind not in TOLERANCES:
        raise InvalidPackage(f"This version knows no engine {kind[:40]!r}.")
    return _module(cast("EngineKind", kind)).load(files, shape)


def shape_of(width: int, classes: Sequence[str]) -> Shape:
    return Shape(width=width, outputs=len(classes) or 1, is_classifier=bool(classes))


def _module(kind: EngineKind) -> _EngineModule:
    try:
        return cast("_EngineModule", importlib.import_module(f"mill_pack.engines.{kind}"))
    except ImportError as error:
        raise EngineMissing(f"The engine {kind!r} is not installed here: {error}") from error
