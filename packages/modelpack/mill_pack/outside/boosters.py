"""Models of XGBoost and LightGBM: our own readers turn them into a forest, the library itself repeats the answer, once.

Runs in the sandbox. What the library reads has passed our validator; if it crashes all the same, the sandbox dies of it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The libraries' annotations are partial; this module is the typed wrapper around them.

from typing import Any, cast

import numpy as np
from mill_contracts.adoption import ModelFileFormat
from mill_contracts.training import EngineCheck
from mill_forest import Forest, InvalidForest, Task, UnsupportedForest, read_lightgbm, read_xgboost, to_bytes

from mill_pack.arrays import FloatArray
from mill_pack.engines import check_engine, passes
from mill_pack.engines.base import Engine, EnginePayload, Shape
from mill_pack.engines.forest import FILE
from mill_pack.errors import InvalidPackage
from mill_pack.outside.bounds import MAX_CLASSES, MAX_FEATURES, MAX_LABEL, MAX_NODES, MAX_TREES
from mill_pack.outside.errors import ModelFileRejected
from mill_pack.outside.found import Found, FoundModel
from mill_pack.outside.probing import document_rows, probe_rows


def read_booster(data: bytes, kind: ModelFileFormat) -> Found:
    """Raises `ModelFileRejected` with the first thing that is wrong."""
    of_xgboost = kind is not ModelFileFormat.LIGHTGBM_TEXT
    forest = forest_or_refusal(read_xgboost if of_xgboost else read_lightgbm, data)
    if of_xgboost:
        check_siblings(forest)
    payload = EnginePayload("forest", {FILE: to_bytes(forest)})
    shape = Shape(forest.n_features, forest.n_outputs, forest.task is not Task.REGRESSION)
    rows = probe_rows(shape.width, forest, missing=True)
    check = _compare(payload, _library(data, shape, of_xgboost=of_xgboost), rows, shape)
    model = FoundModel(
        format=kind,
        algorithm="gbtree" if of_xgboost else "gbdt",
        engine="forest",
        width=shape.width,
        outputs=shape.outputs,
        is_classifier=shape.is_classifier,
        nullable=True,
        names=_xgboost_names(data, shape.width) if of_xgboost else _lightgbm_names(data, shape.width),
        probes=document_rows(rows),
        check=check,
    )
    return Found(model, payload)


def forest_or_refusal(read: Any, *arguments: Any) -> Forest:
    """The forest that `read` makes of its arguments, within the bounds for models from outside."""
    try:
        forest = cast("Forest", read(*arguments))
    except UnsupportedForest as error:
        raise ModelFileRejected(f"This kind of model cannot be served: {error}") from error
    except InvalidForest as error:
        raise ModelFileRejected(f"The model is not sound: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ModelFileRejected(f"The model is not sound: {type(error).__name__}: {str(error)[:200]}") from error
    if forest.n_trees > MAX_TREES or len(forest.feature) > MAX_NODES:
        raise ModelFileRejected(f"More than {MAX_TREES:,} trees or {MAX_NODES:,} nodes")
    if forest.n_features > MAX_FEATURES or forest.n_outputs > MAX_CLASSES:
        raise ModelFileRejected(f"More than {MAX_FEATURES:,} features or {MAX_CLASSES:,} classes")
    return forest


def check_siblings(forest: Forest) -> None:
    """XGBoost's own predictor takes the right child to be the one after the left, whatever the file says."""
    split = forest.feature >= 0
    left, right = forest.left[split], forest.right[split]
    if len(forest.category):
        swapped = forest.category[split] >= 0
        left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    if (right != left + 1).any():
        raise ModelFileRejected("The model is not sound: a right child that does not follow its left sibling")


def _compare(payload: EnginePayload, library: Engine, rows: FloatArray, shape: Shape) -> EngineCheck:
    classes = [str(number) for number in range(shape.outputs)] if shape.is_classifier else ()
    try:
        check = check_engine(payload, library.outputs, rows, classes)
    except (InvalidPackage, ValueError) as error:
        raise ModelFileRejected(f"The model is not sound: {error}") from error
    if not passes(check):
        raise ModelFileRejected(
            f"The rewritten model differs from its library by {check.largest_difference:g} on rows made up for it"
        )
    return check


def _library(data: bytes, shape: Shape, *, of_xgboost: bool) -> Engine:
    try:
        return _xgboost(data, shape) if of_xgboost else _lightgbm(data, shape)
    except MemoryError:
        raise
    except Exception as error:  # whatever the library says of a file that only it finds fault with
        raise ModelFileRejected(f"The library cannot read the model: {str(error)[:300]}") from error


def _xgboost(data: bytes, shape: Shape) -> Engine:
    import xgboost

    from mill_pack.engines.xgboost import XGBoostEngine

    booster: Any = xgboost.Booster(params={"nthread": 1})
    booster.load_model(bytearray(data))
    best = booster.attr("best_iteration")
    if best is not None and int(best) + 1 < booster.num_boosted_rounds():
        booster = booster[: int(best) + 1]
    if booster.num_features() != shape.width:
        raise ModelFileRejected("XGBoost itself finds another number of features")
    booster.set_param({"nthread": 1})
    booster.feature_names = None
    booster.feature_types = None
    return XGBoostEngine(booster, shape, len(data))


def _lightgbm(data: bytes, shape: Shape) -> Engine:
    import lightgbm

    from mill_pack.engines.lightgbm import LightGBMEngine

    booster = lightgbm.Booster(model_str=data.decode())
    if booster.num_feature() != shape.width:
        raise ModelFileRejected("LightGBM itself finds another number of features")
    return LightGBMEngine(booster, shape, len(data))


def _xgboost_names(data: bytes, width: int) -> tuple[str, ...]:
    from mill_forest.read_xgboost import names_of

    return _sound(names_of(data), width)


def _lightgbm_names(data: bytes, width: int) -> tuple[str, ...]:
    line = next((line for line in data[: 64 * 2**20].split(b"\n") if line.startswith(b"feature_names=")), b"")
    names = tuple(line.decode("utf-8", "replace").strip().partition("=")[2].split(" "))
    if all(name == f"Column_{number}" for number, name in enumerate(names)):
        return ()
    return _sound(names, width)


def _sound(names: Any, width: int) -> tuple[str, ...]:
    """The names, where there is one of a sane length for each column."""
    fits = len(names) == width and all(isinstance(name, str) and 0 < len(name) <= MAX_LABEL for name in names)
    return tuple(names) if fits and len(set(names)) == width else ()
