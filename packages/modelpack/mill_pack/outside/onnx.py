"""ONNX models as our own arrays: trees become a forest, linear models weights; scalers before them become steps of the encoder.

Pure Python and numpy from the first byte to the last; ONNX's own library and its runtime are never asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from mill_contracts.adoption import ModelFileFormat
from mill_forest import read_onnx_classifier, read_onnx_regressor, to_bytes
from numpy.typing import NDArray

from mill_pack.arrays import FloatArray
from mill_pack.engines import linear_payload
from mill_pack.engines.base import EnginePayload
from mill_pack.engines.forest import FILE
from mill_pack.engines.registry import load_engine, shape_of
from mill_pack.errors import InvalidPackage
from mill_pack.outside.boosters import forest_or_refusal
from mill_pack.outside.bounds import MAX_CLASSES
from mill_pack.outside.errors import ModelFileRejected
from mill_pack.outside.found import Found, FoundModel, InputStep
from mill_pack.outside.onnx_graph import Graph, Node, read_graph
from mill_pack.outside.probing import document_rows, forest_of, probe_rows

_PREPARING = ("Cast", "Identity", "Imputer", "Scaler")
_FINISHING = ("Cast", "Identity", "Normalizer", "ZipMap")
_FLOAT = 1


@dataclass(frozen=True)
class _Model:
    """The one operator that predicts, as a payload."""

    operator: str
    payload: EnginePayload
    classes: tuple[str, ...] = ()
    takes_missing: bool = False


@dataclass(frozen=True)
class _Reading:
    """How far the chain of operators has been followed."""

    value: str
    width: int
    fill: FloatArray | None = None
    shift: FloatArray = field(default_factory=lambda: np.zeros(0))
    scale: FloatArray = field(default_factory=lambda: np.zeros(0))
    model: _Model | None = None
    normalised: bool = False


def read_onnx(data: bytes) -> Found:
    """Raises `ModelFileRejected` with the first thing that is wrong or not supported."""
    graph = read_graph(data)
    reading = _follow(graph)
    if reading.model is None:
        raise ModelFileRejected("The graph holds no tree ensemble and no linear model")
    model = reading.model
    steps = _steps(reading)
    missing = model.takes_missing and reading.fill is None
    inside = probe_rows(graph.width, forest_of(model.payload), missing=missing)
    _try(model, inside, graph.width, normalised=reading.normalised)
    rows = inside * reading.scale + reading.shift if steps else inside
    return Found(
        FoundModel(
            format=ModelFileFormat.ONNX,
            algorithm=model.operator,
            engine=model.payload.kind,  # pyright: ignore[reportArgumentType] - a forest or a linear model
            width=graph.width,
            outputs=len(model.classes) or 1,
            is_classifier=bool(model.classes),
            nullable=missing or reading.fill is not None,
            classes=model.classes,
            steps=steps,
            probes=document_rows(rows),
        ),
        model.payload,
    )


def _follow(graph: Graph) -> _Reading:
    """Every operator must take what the one before gave: no branch is left that could mean something else."""
    reading = _Reading(graph.source, graph.width, shift=np.zeros(graph.width), scale=np.ones(graph.width))
    known: set[str] = set()
    for node in graph.nodes:
        if not node.inputs or not node.outputs:
            raise ModelFileRejected(f"The operator {node.operator} has no input or no output")
        if reading.model is None:
            if len(node.inputs) != 1 or node.inputs[0] != reading.value:
                raise ModelFileRejected(f"The operator {node.operator} does not take what the one before it gives")
            reading = _prepare(reading, node) if node.operator in _PREPARING else _predict(reading, node)
            known = {*node.outputs} if reading.model is not None else set()
            continue
        if node.operator not in _FINISHING or node.inputs[0] not in known:
            raise ModelFileRejected(f"The operator {node.operator} after the model is not accepted")
        if node.operator == "Normalizer":
            if node.attributes.get("norm", b"MAX") != b"L1":
                raise ModelFileRejected("A Normalizer other than L1 is not accepted")
            reading = replace(reading, normalised=True)
        known |= {*node.outputs}
    if not set(graph.outputs) <= known:
        raise ModelFileRejected("An output of the graph does not come from the model")
    return reading


def _prepare(reading: _Reading, node: Node) -> _Reading:
    reading = replace(reading, value=node.outputs[0])
    attributes = node.attributes
    if node.operator == "Cast" and attributes.get("to") != _FLOAT:
        raise ModelFileRejected("A Cast to anything but float before the model is not accepted")
    if node.operator == "Scaler":
        offset = _wide(attributes.get("offset", np.zeros(1, np.float32)), reading.width)
        scale = _wide(attributes.get("scale", np.ones(1, np.float32)), reading.width)
        if (scale <= 0).any():
            raise ModelFileRejected("A Scaler whose scale is not positive is not accepted")
        return replace(reading, shift=reading.shift + offset * reading.scale, scale=reading.scale / scale)
    if node.operator == "Imputer":
        replaced = attributes.get("replaced_value_float", 0.0)
        untouched = not reading.shift.any() and (reading.scale == 1).all() and reading.fill is None
        if replaced == replaced or not untouched:
            raise ModelFileRejected("An Imputer is accepted as the first step and for missing values (NaN) alone")
        return replace(reading, fill=_wide(attributes.get("imputed_value_floats"), reading.width))
    return reading


def _wide(values: Any, width: int) -> FloatArray:
    """One finite number for each column; a single one stands for all."""
    given = _floats(values)
    if given is None or len(given) not in (1, width):
        raise ModelFileRejected("The numbers of a Scaler or Imputer do not fit the columns")
    wide = np.broadcast_to(given, (width,)).copy()
    if not np.isfinite(wide).all():
        raise ModelFileRejected("A number of a Scaler or Imputer is not finite")
    return wide


def _predict(reading: _Reading, node: Node) -> _Reading:
    match node.operator:
        case "TreeEnsembleClassifier":
            classes = _labels(node, "classlabels_int64s", "classlabels_strings")
            forest = forest_or_refusal(read_onnx_classifier, node.attributes, reading.width, len(classes))
            model = _Model(node.operator, EnginePayload("forest", {FILE: to_bytes(forest)}), classes)
        case "TreeEnsembleRegressor":
            forest = forest_or_refusal(read_onnx_regressor, node.attributes, reading.width)
            model = _Model(node.operator, EnginePayload("forest", {FILE: to_bytes(forest)}))
        case "LinearClassifier":
            classes = _labels(node, "classlabels_ints", "classlabels_strings")
            model = _Model(node.operator, _linear_classifier(node, reading.width, len(classes)), classes)
        case "LinearRegressor":
            model = _Model(node.operator, _linear_regressor(node, reading.width))
        case _:
            raise ModelFileRejected(f"The operator {node.operator} before the model is not accepted")
    tracked = node.attributes.get("nodes_missing_value_tracks_true", ())
    return replace(reading, model=replace(model, takes_missing=bool(np.any(tracked))))


def _labels(node: Node, numbers: str, words: str) -> tuple[str, ...]:
    given: Any = node.attributes.get(words)
    labels: list[str]
    if given is not None and len(given):
        labels = [word.decode("utf-8", "replace") for word in given] if isinstance(given, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    else:
        ids: Any = node.attributes.get(numbers)
        labels = [str(int(number)) for number in ids] if isinstance(ids, np.ndarray) else []
    if not 2 <= len(labels) <= MAX_CLASSES or len(set(labels)) != len(labels) or not all(labels):
        raise ModelFileRejected(f"The classifier needs between 2 and {MAX_CLASSES} distinct classes")
    return tuple(labels)


def _linear_classifier(node: Node, width: int, classes: int) -> EnginePayload:
    weights, bias = _coefficients(node, width, classes)
    post = node.attributes.get("post_transform", b"NONE")
    if classes == 2 and post == b"SOFTMAX":
        return linear_payload(weights[1:] - weights[:1], bias[1:] - bias[:1])
    mirrored = np.array_equal(weights[0], -weights[1]) and bias[0] == -bias[1]
    if classes == 2 and post == b"LOGISTIC" and mirrored:
        return linear_payload(weights[1:], bias[1:])
    if classes > 2 and post == b"SOFTMAX":
        return linear_payload(weights, bias)
    raise ModelFileRejected("A LinearClassifier is accepted with SOFTMAX, or with LOGISTIC and two mirrored classes")


def _linear_regressor(node: Node, width: int) -> EnginePayload:
    if node.attributes.get("targets", 1) != 1 or node.attributes.get("post_transform", b"NONE") != b"NONE":
        raise ModelFileRejected("A LinearRegressor is accepted with one target and no post_transform")
    return linear_payload(*_coefficients(node, width, 1))


def _coefficients(node: Node, width: int, rows: int) -> tuple[FloatArray, FloatArray]:
    weights = _floats(node.attributes.get("coefficients"))
    bias = _floats(node.attributes.get("intercepts", np.zeros(rows, np.float32)))
    if weights is None or bias is None or len(weights) != rows * width or len(bias) != rows:
        raise ModelFileRejected("The coefficients do not fit the columns and classes")
    if not np.isfinite(weights).all() or not np.isfinite(bias).all():
        raise ModelFileRejected("A coefficient is not finite")
    return weights.reshape(rows, width), bias


def _floats(values: Any) -> FloatArray | None:
    """The numbers of an attribute of floats; None where it is of another kind."""
    if not isinstance(values, np.ndarray):
        return None
    given = cast("NDArray[Any]", values)
    return given.astype(np.float64) if given.dtype == np.float32 else None


def _steps(reading: _Reading) -> tuple[InputStep, ...]:
    if reading.fill is None and not reading.shift.any() and (reading.scale == 1).all():
        return ()
    fill: Sequence[float | None] = [None] * reading.width if reading.fill is None else reading.fill.tolist()
    if not np.isfinite(reading.shift).all() or not np.isfinite(reading.scale).all():
        raise ModelFileRejected("The steps before the model are not finite together")
    return tuple(
        InputStep(fill=one, shift=float(by), scale=float(unit))
        for one, by, unit in zip(fill, reading.shift, reading.scale, strict=True)
    )


def _try(model: _Model, rows: FloatArray, width: int, *, normalised: bool) -> None:
    """Load and predict once. A normaliser is left out only where its sums are one already."""
    try:
        outputs = load_engine(model.payload.kind, model.payload.files, shape_of(width, model.classes)).outputs(rows)
    except InvalidPackage as problem:
        raise ModelFileRejected(problem.detail) from problem
    if not np.isfinite(outputs).all():
        raise ModelFileRejected("The model's answers are not finite")
    sums = outputs.sum(axis=1)
    if model.classes and (normalised or (outputs < 0).any()) and (np.abs(sums - 1) > 1e-3).any():
        raise ModelFileRejected("The classifier's scores are no probabilities; convert it so that they add up to 1")
