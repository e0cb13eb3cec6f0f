"""Why a model answers as it does: what the engine says of its matrix columns, added up by the inputs they were made from.

`Package.explain_rows` is the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.encoding.document import EncoderDocument
from mill_pack.expressions import compile_expression
from mill_pack.outcome import Predictions
from mill_pack.signature import NUMERIC_KINDS


@dataclass(frozen=True, slots=True)
class Explanations:
    """n rows. `contributions` (n, margins, features) and `base` (n, margins) add up to `margins` (n, margins).

    `outputs` names each margin: the class it speaks for, or the target of a regression; two classes may share one, that of the
    second class. What a derived feature or a category of a feature contributes counts for the inputs it was made from.
    """

    predictions: Predictions
    features: tuple[str, ...]
    outputs: tuple[str, ...]
    contributions: FloatArray
    base: FloatArray

    @property
    def margins(self) -> FloatArray:
        return self.contributions.sum(axis=2) + self.base


def input_shares(document: EncoderDocument) -> FloatArray:
    """(width, features): which part of a matrix column belongs to which input; a derived feature's parts are equal."""
    place = {feature.name: number for number, feature in enumerate(document.features)}
    numeric = [feature.name for feature in document.features if feature.kind in NUMERIC_KINDS]
    made_of: Mapping[str, tuple[str, ...]] = {
        derived.name: tuple(compile_expression(derived.expression, numeric).inputs) for derived in document.derived
    }
    shares = np.zeros((sum(output.width for output in document.outputs), len(place)))
    column = 0
    for output in document.outputs:
        sources = made_of.get(output.source, (output.source,))
        for source in sources:
            shares[column : column + output.width, place[source]] += 1.0 / len(sources)
        column += output.width
    return shares


def margin_names(labels: tuple[str, ...], target: str, margins: int) -> tuple[str, ...]:
    if not labels:
        return (target,)
    return labels if margins == len(labels) else labels[-1:]
