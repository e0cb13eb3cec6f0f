"""From input tensors to a table of features, from predictions to output tensors: what REST and gRPC have in common.

Inputs are one tensor per feature, of the shape [n] or [n, 1], or a single tensor [n, d] with the features in signature order.
Outputs: `predict` (label or value), `probabilities` [n, classes], `confidence`, `low_confidence`, and `probability_<class>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mill_contracts.tables import ColumnKind
from mill_pack import Package, Predictions, Signature
from numpy.typing import NDArray

from mill_serving.doors.tables.forms import Caps
from mill_serving.doors.v2.tensors import BOOL, BYTES, FP64, Tensor
from mill_serving.errors import MalformedTensor
from mill_serving.intake import Intake, Table

PREDICT, PROBABILITIES, CONFIDENCE, LOW_CONFIDENCE = "predict", "probabilities", "confidence", "low_confidence"
PROBABILITY = "probability_"
_DATATYPES: dict[ColumnKind, str] = {
    ColumnKind.NUMBER: FP64,
    ColumnKind.INTEGER: "INT64",
    ColumnKind.BOOLEAN: BOOL,
}
VARIABLE = -1


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """-1 stands for a size that varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def input_specs(signature: Signature) -> list[TensorSpec]:
    """Dates are text. Any other numeric datatype is taken as well: FP64, say, where whole numbers may be missing (NaN)."""
    return [
        TensorSpec(feature.name, _DATATYPES.get(feature.kind, BYTES), (VARIABLE,)) for feature in signature.features
    ]


def output_specs(package: Package) -> list[TensorSpec]:
    labels = package.labels
    if not labels:
        return [TensorSpec(PREDICT, FP64, (VARIABLE,))]
    return [
        TensorSpec(PREDICT, BYTES, (VARIABLE,)),
        TensorSpec(PROBABILITIES, FP64, (VARIABLE, len(labels))),
        TensorSpec(CONFIDENCE, FP64, (VARIABLE,)),
        TensorSpec(LOW_CONFIDENCE, BOOL, (VARIABLE,)),
        *(TensorSpec(PROBABILITY + label, FP64, (VARIABLE,)) for label in labels),
    ]


def infer(
    intake: Intake, inputs: Sequence[Tensor], wanted: Sequence[str], caps: Caps
) -> tuple[Predictions, list[Tensor]]:
    """Raises `MalformedTensor`, `InvalidInput`, or what the caps say."""
    outputs = _chosen(intake.package, wanted)
    matrix = _matrix(intake, inputs)
    if matrix is not None:
        caps.check(len(matrix))
        found = intake.matrix(matrix)
    else:
        table = as_table(inputs, len(intake.package.signature.features))
        caps.check(len(next(iter(table.values()))))
        found = intake.table(table)
    return found, [_output(found, name) for name in outputs]


def infer_quickly(
    intake: Intake, inputs: Sequence[Tensor], wanted: Sequence[str], caps: Caps
) -> tuple[Predictions, list[Tensor]] | None:
    """What `infer` finds in one tensor of all features, where nothing about it is unusual. Raises what `infer` does."""
    outputs = _chosen(intake.package, wanted)
    matrix = _matrix(intake, inputs)
    if matrix is None:
        return None
    caps.check(len(matrix))
    found = intake.quickly(matrix)
    return None if found is None else (found, [_output(found, name) for name in outputs])


def _matrix(intake: Intake, inputs: Sequence[Tensor]) -> NDArray[Any] | None:
    """(n, features), of a single tensor of that shape."""
    width = len(intake.package.signature.features)
    if len(inputs) != 1 or len(inputs[0].shape) != 2 or inputs[0].shape[1] != width:
        return None
    return inputs[0].values.reshape(inputs[0].shape)


def as_table(inputs: Sequence[Tensor], features: int) -> Table:
    """A tensor per feature. Raises `MalformedTensor` where the shapes make no table."""
    if not inputs:
        raise MalformedTensor("there are no inputs")
    table: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
    for tensor in inputs:
        if tensor.name in table:
            raise MalformedTensor(f"{tensor.name!r} is sent twice")
        if len(tensor.values) != tensor.shape[0]:
            raise MalformedTensor(
                f"{tensor.name!r}: the shape {list(tensor.shape)} is no column; send [n] or [n, 1] per feature, "
                f"or one tensor [n, {features}] of all features"
            )
        table[tensor.name] = tensor.values
    if len({len(values) for values in table.values()}) > 1:
        raise MalformedTensor("the inputs have different numbers of rows")
    return table


def _chosen(package: Package, wanted: Sequence[str]) -> list[str]:
    known = [spec.name for spec in output_specs(package)]
    for name in wanted:
        if name not in known:
            raise MalformedTensor(f"there is no output {name[:100]!r}; there are {', '.join(known[:20])}")
    return list(dict.fromkeys(wanted)) or known[:2]


def _output(found: Predictions, name: str) -> Tensor:
    rows = len(found)
    if name == PREDICT and found.winners is not None:
        return Tensor(name, BYTES, (rows,), found.winners, found.labels)
    if name == PREDICT and found.numbers is not None:
        return Tensor(name, FP64, (rows,), found.numbers)
    if name == LOW_CONFIDENCE:
        return Tensor(name, BOOL, (rows,), found.low_confidence)
    if found.probabilities is None:
        raise MalformedTensor(f"a regression has no output {name!r}")
    if name == PROBABILITIES:
        return Tensor(name, FP64, found.probabilities.shape, found.probabilities.ravel())
    if name == CONFIDENCE and found.confidence is not None:
        return Tensor(name, FP64, (rows,), found.confidence)
    column = found.labels.index(name.removeprefix(PROBABILITY))
    return Tensor(name, FP64, (rows,), np.ascontiguousarray(found.probabilities[:, column]))
