"""Fitting the encoder. The trainer calls `fit_encoder` once, on the training part only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from mill_contracts.recipe import DerivedFeature, Recipe
from mill_contracts.tables import ColumnKind
from numpy.typing import NDArray

from mill_pack.arrays import Columns, FloatArray
from mill_pack.encoding.dates import part_of_column
from mill_pack.encoding.document import (
    MAX_WIDTH,
    CategoricalOutput,
    DatePart,
    EncoderDocument,
    EncodingStyle,
    NumericOutput,
)
from mill_pack.encoding.encoder import Encoder
from mill_pack.encoding.tables import CodeTable
from mill_pack.errors import InvalidExpression, InvalidPreprocessing
from mill_pack.expressions import CompiledExpression, compile_expression
from mill_pack.signature import DATE_KINDS, NUMERIC_KINDS, FeatureSpec

_PARTS: dict[ColumnKind, tuple[DatePart, ...]] = {
    ColumnKind.DATE: ("value", "year", "month", "weekday"),
    ColumnKind.TIMESTAMP: ("value", "year", "month", "weekday", "hour"),
}


def fit_encoder(columns: Columns, kinds: Mapping[str, ColumnKind], recipe: Recipe, style: EncodingStyle) -> Encoder:
    """Features are the recipe's, else every column but the target, the excluded and the empty ones.

    A column that only a derived feature names is an input too. Raises `InvalidExpression`, `InvalidPreprocessing`.
    """
    return Encoder(_Fit(columns, kinds, recipe, style).document())


class _Fit:
    def __init__(self, columns: Columns, kinds: Mapping[str, ColumnKind], recipe: Recipe, style: EncodingStyle) -> None:
        self.columns = columns
        self.kinds = kinds
        self.recipe = recipe
        self.wishes = recipe.preprocessing
        self.style = style
        self.scaling = style.scaling if self.wishes.scaling == "auto" else self.wishes.scaling
        self.categories: Literal["ordinal", "one_hot"] = (
            style.categories if self.wishes.categories == "auto" else self.wishes.categories
        )
        self.counted: dict[str, Counter[str]] = {}

    def document(self) -> EncoderDocument:
        self._refuse_infinite()
        direct = self._direct_features()
        derived = self._derived(self.wishes.derived)
        inputs = list(direct)
        for _, expression in derived:
            inputs += [name for name in expression.inputs if name not in inputs]
        if not inputs:
            raise InvalidPreprocessing("No feature is left; choose at least one column that is not empty.")
        outputs: list[NumericOutput | CategoricalOutput] = []
        for name in direct:
            outputs += [self._categorical(name)] if self._is_text(name) else self._numeric(name)
        for feature, expression in derived:
            outputs.append(self._derived_output(feature, expression))
        if sum(output.width for output in outputs) > MAX_WIDTH:
            raise InvalidPreprocessing(
                f"One-hot encoding needs more than {MAX_WIDTH:,} columns; lower max_categories or use ordinal categories."
            )
        return EncoderDocument(
            features=tuple(self._spec(name) for name in inputs), derived=self.wishes.derived, outputs=tuple(outputs)
        )

    def _refuse_infinite(self) -> None:
        for name, values in self.columns.items():
            if self.kinds[name] in NUMERIC_KINDS and np.isinf(values).any():
                raise InvalidPreprocessing(
                    f"Column {name!r} holds infinite numbers; remove them or leave the cells empty."
                )

    def _usable(self, name: str) -> bool:
        return name != self.recipe.target and self.kinds[name] is not ColumnKind.EMPTY

    def _is_text(self, name: str) -> bool:
        return self.kinds[name] is ColumnKind.STRING

    def _direct_features(self) -> list[str]:
        chosen: Sequence[str] = self.recipe.features or tuple(self.columns)
        unknown = [name for name in chosen if name not in self.columns]
        if unknown:
            raise InvalidPreprocessing(f"There is no column {unknown[0]!r} to use as a feature.")
        return [name for name in chosen if self._usable(name) and name not in self.recipe.exclude]

    def _derived(self, features: Sequence[DerivedFeature]) -> list[tuple[DerivedFeature, CompiledExpression]]:
        taken = set(self.columns)
        allowed = [name for name in self.columns if self.kinds[name] in NUMERIC_KINDS and self._usable(name)]
        compiled: list[tuple[DerivedFeature, CompiledExpression]] = []
        for feature in features:
            if feature.name in taken:
                raise InvalidExpression(
                    f"A column or derived feature {feature.name!r} exists already; choose another name."
                )
            taken.add(feature.name)
            compiled.append((feature, compile_expression(feature.expression, allowed)))
        return compiled

    def _numeric(self, name: str) -> list[NumericOutput]:
        values: FloatArray = self.columns[name]
        fill = self._fill(name, values, rounded=self.kinds[name] in DATE_KINDS)
        parts = _PARTS.get(self.kinds[name], ("value",))
        return [self._scaled(name, part, values, fill) for part in parts]

    def _derived_output(self, feature: DerivedFeature, expression: CompiledExpression) -> NumericOutput:
        values = expression.over_columns([self.columns[name] for name in expression.inputs])
        fill = self._fill(feature.name, values, rounded=False)
        if fill is None and self.style.needs_imputation:
            fill = _median(values)
        return self._scaled(feature.name, "value", values, fill)

    def _scaled(self, name: str, part: DatePart, values: FloatArray, fill: float | None) -> NumericOutput:
        filled = values if fill is None else np.where(np.isnan(values), fill, values)
        shift, scale = self._shift_and_scale(filled if part == "value" else part_of_column(part, filled))
        return NumericOutput(source=name, part=part, fill=fill, shift=shift, scale=scale)

    def _fill(self, name: str, values: FloatArray, *, rounded: bool) -> float | None:
        wish = self.wishes.imputation.numeric
        present = values[~np.isnan(values)]
        fill: float | None
        match wish:
            case "mean":
                fill = float(np.mean(present)) if present.size else 0.0
            case "median":
                fill = _median(values)
            case "zero":
                fill = 0.0
            case "auto":
                fill = _median(values) if self.style.needs_imputation else None
            case "none":
                self._refuse_missing(name, present.size < values.size)
                fill = None
        return float(round(fill)) if fill is not None and rounded else fill

    def _refuse_missing(self, name: str, has_missing: bool) -> None:
        if has_missing and self.style.needs_imputation and name in self.columns:
            raise InvalidPreprocessing(
                f"Column {name!r} has missing values and {self.recipe.algorithm} takes none; choose an imputation other than 'none'."
            )

    def _shift_and_scale(self, values: FloatArray) -> tuple[float, float]:
        present = values[~np.isnan(values)]
        if self.scaling == "none" or not present.size:
            return 0.0, 1.0
        if self.scaling == "standard":
            shift, spread = float(np.mean(present)), float(np.std(present))
        else:
            shift = float(np.min(present))
            spread = float(np.max(present)) - shift
        usable = np.isfinite(spread) and spread > 1e-12 * max(1.0, abs(shift))
        return (shift if np.isfinite(shift) else 0.0), spread if usable else 1.0

    def _categorical(self, name: str) -> CategoricalOutput:
        counts = self._counts(name)
        ranked = sorted(counts, key=lambda value: (-counts[value], value))
        limit = self.wishes.max_categories
        other = len(ranked) > limit
        kept = tuple(ranked[: limit - 1] if other else ranked)
        output = CategoricalOutput(
            source=name,
            mode=self.categories,
            categories=kept,
            other=other,
            missing=self._missing_policy(name, has_missing=sum(counts.values()) < len(self.columns[name])),
        )
        if self.categories == "one_hot" or self.scaling == "none":
            return output
        codes = CodeTable.of(output).encode(self.columns[name].tolist())
        shift, scale = self._shift_and_scale(codes)
        return output.model_copy(update={"shift": shift, "scale": scale})

    def _missing_policy(self, name: str, *, has_missing: bool) -> Literal["keep", "bucket", "most_frequent"]:
        match self.wishes.imputation.categorical:
            case "most_frequent":
                return "most_frequent"
            case "missing":
                return "bucket"
            case "none":
                self._refuse_missing(name, has_missing)
                return "keep"
            case "auto":
                if not self.style.needs_imputation and self.categories == "ordinal":
                    return "keep"
                if has_missing:
                    return "bucket"
                return "most_frequent" if self.style.needs_imputation else "keep"

    def _counts(self, name: str) -> Counter[str]:
        if name not in self.counted:
            self.counted[name] = Counter(value for value in self.columns[name].tolist() if value is not None)
        return self.counted[name]

    def _spec(self, name: str) -> FeatureSpec:
        values: NDArray[Any] = self.columns[name]
        if self._is_text(name):
            required = sum(self._counts(name).values()) == len(values)
            nullable = not required or self._missing_policy(name, has_missing=False) != "keep"
            return FeatureSpec(
                name=name,
                kind=self.kinds[name],
                nullable=nullable,
                required=required,
                categories=self._categorical(name).categories,
            )
        present = values[~np.isnan(values)]
        required = present.size == values.size
        return FeatureSpec(
            name=name,
            kind=self.kinds[name],
            nullable=not required or self._fill(name, values, rounded=False) is not None,
            required=required,
            minimum=float(np.min(present)) if present.size else None,
            maximum=float(np.max(present)) if present.size else None,
        )


def _median(values: FloatArray) -> float:
    present = values[~np.isnan(values)]
    return float(np.median(present)) if present.size else 0.0
