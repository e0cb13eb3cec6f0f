"""From table to matrices: the encoder is fitted on the training rows alone, then everything goes through it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mill_contracts.recipe import Recipe
from mill_pack import Encoder, EncodingStyle, fit_encoder
from mill_pack.expressions import compile_expression
from mill_pack.signature import NUMERIC_KINDS
from numpy.typing import NDArray

from mill_trainer.train.estimators import Family
from mill_trainer.train.table import Rows, Table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prepared:
    """A fitted encoder and the matrix of the rows it was fitted on."""

    encoder: Encoder
    matrix: Floats


def style_of(family: Family) -> EncodingStyle:
    """What the algorithm wants where the recipe says `auto`."""
    return EncodingStyle(
        categories=family.encoding,
        scaling="standard" if family.wants_scaling else "none",
        needs_imputation=not family.takes_missing,
    )


def prepare(table: Table, rows: Rows, features: tuple[str, ...], recipe: Recipe, style: EncodingStyle) -> Prepared:
    """Fit the encoder on `rows`. Raises the encoder's problems (expressions, imputation, width)."""
    training = table.take(rows)
    chosen = recipe.model_copy(update={"features": features, "exclude": ()})
    fitted = fit_encoder(training.columns, training.kinds, chosen, style)
    encoder = _allow_missing(fitted, table)
    return Prepared(encoder, encoder.transform(training.columns))


def inputs_of(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    """Source of a matrix column (an input, or a derived feature) → the input columns behind it."""
    document = encoder.document
    numeric = [feature.name for feature in document.features if feature.kind in NUMERIC_KINDS]
    sources = {feature.name: (feature.name,) for feature in document.features}
    derived = {one.name: compile_expression(one.expression, numeric).inputs for one in document.derived}
    return {**sources, **{name: tuple(inputs) for name, inputs in derived.items()}}


def spread_over_inputs(encoder: Encoder, weights: Floats) -> Mapping[str, float]:
    """Sum the weights of matrix columns by input; a derived feature shares its weight among its inputs."""
    inputs = inputs_of(encoder)
    totals = dict.fromkeys((feature.name for feature in encoder.document.features), 0.0)
    position = 0
    for output in encoder.document.outputs:
        weight = float(weights[position : position + output.width].sum())
        behind = inputs[output.source]
        for name in behind:
            totals[name] += weight / len(behind)
        position += output.width
    return totals


def _allow_missing(encoder: Encoder, table: Table) -> Encoder:
    """A column with gaps anywhere in the table may have them in a prediction, though no training row shows one."""
    document = encoder.document
    features = tuple(
        spec.model_copy(update={"nullable": spec.nullable or spec.name in table.gaps}) for spec in document.features
    )
    return encoder if features == document.features else Encoder(document.model_copy(update={"features": features}))
