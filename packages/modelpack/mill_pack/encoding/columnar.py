"""Many rows at once: columns in, matrix out. Training, batch scoring and multi-row requests come through here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mill_contracts.tables import ColumnKind

from mill_pack.arrays import FloatArray
from mill_pack.encoding.checks import Errors, check_rows, raise_if_any
from mill_pack.encoding.dates import MAX_MILLISECONDS, part_of_column
from mill_pack.encoding.document import CategoricalOutput, EncoderDocument, NumericOutput
from mill_pack.encoding.tables import CodeTable
from mill_pack.encoding.values import NUMBER_READERS, WrongValue
from mill_pack.expressions import CompiledExpression
from mill_pack.signature import DATE_KINDS, FeatureSpec

Sources = dict[str, FloatArray | Sequence[str | None]]
"""Checked inputs by name: arrays for numbers, sequences for strings."""

_NO_TYPES: frozenset[type] = frozenset()
_AT_ONCE: Mapping[ColumnKind, frozenset[type]] = {
    ColumnKind.NUMBER: frozenset({int, float, type(None)}),
    ColumnKind.INTEGER: frozenset({int, float, type(None)}),
    ColumnKind.BOOLEAN: frozenset({bool, type(None)}),
}
"""Types of JSON values that numpy reads as one column; all else is read value by value."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """`matrix` is (n, width); `unseen` counts values of categories training never saw, by feature."""

    matrix: FloatArray
    unseen: dict[str, int]
    rows_with_missing: int


@dataclass(frozen=True, slots=True)
class ColumnarPlan:
    document: EncoderDocument
    tables: Mapping[str, CodeTable]
    derived: Sequence[tuple[str, CompiledExpression]]
    width: int

    @np.errstate(over="ignore", invalid="ignore")
    def encode(self, sources: Sources) -> Encoded:
        numbers: dict[str, FloatArray] = {
            name: values for name, values in sources.items() if isinstance(values, np.ndarray)
        }
        for name, expression in self.derived:
            numbers[name] = expression.over_columns([numbers[column] for column in expression.inputs])
        rows = len(sources[self.document.features[0].name])
        matrix = np.zeros((rows, self.width))
        unseen: dict[str, int] = {}
        position = 0
        for output in self.document.outputs:
            if isinstance(output, NumericOutput):
                matrix[:, position] = numeric_column(output, numbers[output.source])
            else:
                count = self._categorical(output, sources[output.source], matrix[:, position : position + output.width])
                if count:
                    unseen[output.source] = count
            position += output.width
        return Encoded(matrix=matrix, unseen=unseen, rows_with_missing=_rows_with_missing(sources, rows))

    def _categorical(self, output: CategoricalOutput, values: Any, target: FloatArray) -> int:
        table = self.tables[output.source]
        codes = table.encode(values)
        if output.mode == "ordinal":
            target[:, 0] = codes
        else:
            (hits,) = np.nonzero(codes < table.width)
            target[hits, codes[hits].astype(np.int64)] = 1.0
        return table.count_unseen(values, codes)

    def sources_of_columns(self, columns: Mapping[str, Any]) -> Sources:
        """Raises `InvalidInput` naming columns that are absent, not finite, or missing where training never was."""
        sources: Sources = {}
        errors: Errors = []
        for feature in self.document.features:
            if feature.name not in columns:
                errors.append({"column": feature.name, "detail": "is missing from the table"})
                continue
            column = columns[feature.name]
            if feature.kind is ColumnKind.STRING:
                texts = column.tolist() if isinstance(column, np.ndarray) else list(column)
                reason, sources[feature.name] = _wrong_texts(feature, texts), texts
            else:
                numbers = np.asarray(column, dtype=np.float64)
                reason, sources[feature.name] = _wrong_numbers(feature, numbers), numbers
            if reason:
                errors.append({"column": feature.name, "detail": reason})
        raise_if_any(errors)
        return sources

    def sources_of_rows(self, rows: Sequence[Mapping[str, object]], pointer: str) -> Sources:
        """Raises `InvalidInput` naming row and feature of every wrong value."""
        try:
            return self._read_rows(rows)
        except (KeyError, TypeError, AttributeError, WrongValue):
            check_rows(rows, self.document.features, pointer)
            return self._read_rows([{spec.name: row.get(spec.name) for spec in self.document.features} for row in rows])

    def _read_rows(self, rows: Sequence[Mapping[str, object]]) -> Sources:
        """Anything unusual raises, and is looked at again slowly."""
        features = self.document.features
        if set(map(len, rows)) - {len(features)}:
            optional = {feature.name: None for feature in features if not feature.required}
            rows = [{**optional, **row} for row in rows]
            if set(map(len, rows)) - {len(features)}:
                raise WrongValue
        return {feature.name: _read_column(feature, [row[feature.name] for row in rows]) for feature in features}


def _read_column(feature: FeatureSpec, values: list[Any]) -> FloatArray | list[str | None]:
    kinds = set(map(type, values))
    if type(None) in kinds and not feature.nullable:
        raise WrongValue
    if feature.kind is ColumnKind.STRING:
        if not kinds <= {str, type(None)}:
            raise WrongValue
        return values
    if kinds <= _AT_ONCE.get(feature.kind, _NO_TYPES):
        return _read_numbers(feature, values, missing=values.count(None) if type(None) in kinds else 0)
    read = NUMBER_READERS[feature.kind]
    return np.array([np.nan if value is None else read(value) for value in values], dtype=np.float64)


def _read_numbers(feature: FeatureSpec, values: list[Any], missing: int) -> FloatArray:
    numbers = _as_floats(values)
    if np.count_nonzero(np.isfinite(numbers)) + missing != len(values):
        raise WrongValue
    if feature.kind is ColumnKind.INTEGER and np.count_nonzero(numbers == np.floor(numbers)) + missing != len(values):
        raise WrongValue
    return numbers


def _as_floats(values: list[Any]) -> FloatArray:
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise WrongValue from error


def numeric_column(output: NumericOutput, values: FloatArray) -> FloatArray:
    """The matrix column of this output, from its source's numbers."""
    if output.fill is not None:
        values = np.where(np.isnan(values), output.fill, values)
    if output.part != "value":
        values = part_of_column(output.part, values)
    if output.shift == 0.0 and output.scale == 1.0:
        return values
    return (values - output.shift) / output.scale


def _wrong_texts(feature: FeatureSpec, texts: Sequence[object]) -> str | None:
    if not feature.nullable and None in texts:
        return f"row {texts.index(None) + 1} is missing a value, and training never saw one missing"
    if not set(map(type, texts)) <= {str, type(None)}:
        return "must hold text"
    return None


def _wrong_numbers(feature: FeatureSpec, numbers: FloatArray) -> str | None:
    missing = np.isnan(numbers)
    if not feature.nullable and missing.any():
        return f"row {int(np.argmax(missing)) + 1} is missing a value, and training never saw one missing"
    infinite = np.isinf(numbers)
    if infinite.any():
        return f"row {int(np.argmax(infinite)) + 1} is infinite"
    if feature.kind in DATE_KINDS and (np.abs(numbers[~missing]) > MAX_MILLISECONDS).any():
        return "holds a date outside the calendar"
    return None


def _rows_with_missing(sources: Sources, rows: int) -> int:
    missing = np.zeros(rows, dtype=np.bool_)
    for values in sources.values():
        if isinstance(values, np.ndarray):
            missing |= np.isnan(values)
        elif None in values:
            missing |= np.fromiter((value is None for value in values), dtype=np.bool_, count=rows)
    return int(missing.sum())
