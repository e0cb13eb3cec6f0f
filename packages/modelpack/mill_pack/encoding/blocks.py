"""Bodies of many rows straight to the matrix: the encoder, compiled for the native reader of `mill_rows`.

`Package` is the caller. It gives the same bits as `ColumnarPlan` and takes nothing that `RowPlan` would refuse; whatever is wrong
or merely unusual makes it give up, and the caller reads the body in the usual way. Dates' parts and derived features are computed
here, from the raw numbers the reader hands over beside the matrix.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mill_contracts.tables import ColumnKind
from mill_rows import Categories, Feature, Kind, Write, reader_of
from numpy.typing import NDArray

from mill_pack.arrays import FloatArray
from mill_pack.encoding.columnar import Encoded, numeric_column
from mill_pack.encoding.document import CategoricalOutput, EncoderDocument, NumericOutput
from mill_pack.encoding.rows import numeric_value
from mill_pack.encoding.tables import CodeTable
from mill_pack.expressions import CompiledExpression
from mill_pack.signature import FeatureSpec

Body = bytes | bytearray | memoryview
Found = tuple[int, int, bytearray, bytearray, list[int], int]

_KINDS: dict[ColumnKind, Kind] = {
    ColumnKind.NUMBER: Kind.NUMBER,
    ColumnKind.INTEGER: Kind.INTEGER,
    ColumnKind.BOOLEAN: Kind.BOOLEAN,
    ColumnKind.STRING: Kind.TEXT,
    ColumnKind.DATE: Kind.DATE,
    ColumnKind.TIMESTAMP: Kind.TIMESTAMP,
}


class BlockPlan:
    """Immutable, shared by threads."""

    @classmethod
    def of(
        cls,
        document: EncoderDocument,
        tables: Mapping[str, CodeTable],
        derived: Sequence[tuple[str, CompiledExpression]],
        width: int,
    ) -> "BlockPlan | None":
        """None where a name or category is no text that could be sent."""
        try:
            return cls(document, tables, derived, width)
        except UnicodeError:
            return None

    def __init__(
        self,
        document: EncoderDocument,
        tables: Mapping[str, CodeTable],
        derived: Sequence[tuple[str, CompiledExpression]],
        width: int,
    ) -> None:
        self._names = [feature.name for feature in document.features]
        self._width = width
        self._derived = derived
        self._later: list[tuple[NumericOutput, int]] = []
        writes: dict[str, list[Write]] = {name: [] for name in self._names}
        texts: dict[str, Categories] = {}
        position = 0
        for output in document.outputs:
            if isinstance(output, CategoricalOutput):
                texts[output.source] = _categories(output, tables[output.source], position)
            elif output.part == "value" and output.source in writes:
                fill = math.nan if output.fill is None else output.fill
                writes[output.source].append(Write(position, fill, output.shift, output.scale))
            else:
                self._later.append((output, position))
            position += output.width
        self._raw = self._raw_columns()
        features = [
            _feature(spec, writes[spec.name], self._raw.get(spec.name, -1), texts.get(spec.name))
            for spec in document.features
        ]
        self._is_copy = (width, self._later) == (len(features), []) and all(map(_is_copied, features, range(width)))
        self._reader = reader_of(width, len(self._raw), features)

    def objects(self, body: Body, start: int, most_rows: int) -> tuple[int, Encoded] | None:
        """The rows of a JSON array of objects from behind its bracket, and where the array ends."""
        return self._encoded(self._reader.objects(body, start, most_rows))

    def object(self, body: Body, start: int) -> "tuple[int, FloatArray, tuple[str, ...]] | None":
        """One JSON object, at its brace: where it ends, its (width,) vector, the features whose category training never saw."""
        found = self._reader.object(body, start)
        if found is None:
            return None
        end, _, matrix, raw, unseen, _ = found
        if self._later:
            self._write_later_floats(memoryview(matrix).cast("d"), memoryview(raw).cast("d").tolist())
        names = tuple(name for name, count in zip(self._names, unseen, strict=True) if count) if any(unseen) else ()
        return end, np.frombuffer(matrix), names

    def lists(self, body: Body, start: int, most_rows: int, names: Sequence[str]) -> tuple[int, Encoded] | None:
        """Like `objects` for an array of arrays, whose values stand in the order of `names`."""
        if len(names) != len(self._names) or set(names) != set(self._names):
            return None
        place = {name: number for number, name in enumerate(self._names)}
        order = np.array([place[name] for name in names], dtype=np.int32)
        return self._encoded(self._reader.lists(body, start, most_rows, order))

    def columns(self, arrays: Sequence[NDArray[Any]]) -> Encoded | None:
        """Rows as an array for each feature, in their order: numbers and truths as numpy has them, objects for text and its gaps."""
        found = self._reader.columns(tuple(arrays), len(arrays[0])) if len(arrays[0]) else None
        encoded = self._encoded(found)
        return None if encoded is None else encoded[1]

    def matrix(self, values: NDArray[Any]) -> Encoded | None:
        """(n, features). Where nothing is to be done to its numbers, they are not copied."""
        if self._is_copy and len(values) and values.dtype.kind == "f" and bool(np.isfinite(values).all()):
            whole = np.require(values, np.float64, ["C_CONTIGUOUS", "ALIGNED"])
            return Encoded(matrix=whole, unseen={}, rows_with_missing=0)
        return self.columns(list(values.T))

    def _raw_columns(self) -> dict[str, int]:
        needed = [output.source for output, _ in self._later if output.source in self._names]
        needed += [name for _, expression in self._derived for name in expression.inputs]
        return {name: number for number, name in enumerate(dict.fromkeys(needed))}

    def _encoded(self, found: Found | None) -> tuple[int, Encoded] | None:
        if found is None:
            return None
        end, rows, matrix, raw, unseen, missing = found
        values = np.frombuffer(matrix).reshape(rows, self._width)
        if self._later:
            self._write_later(values, np.frombuffer(raw).reshape(rows, len(self._raw)))
        counts = {name: count for name, count in zip(self._names, unseen, strict=True) if count}
        return end, Encoded(matrix=values, unseen=counts, rows_with_missing=missing)

    @np.errstate(over="ignore", invalid="ignore")
    def _write_later(self, matrix: FloatArray, raw: NDArray[np.float64]) -> None:
        numbers = {name: np.ascontiguousarray(raw[:, column]) for name, column in self._raw.items()}
        for name, expression in self._derived:
            numbers[name] = expression.over_columns([numbers[column] for column in expression.inputs])
        for output, position in self._later:
            matrix[:, position] = numeric_column(output, numbers[output.source])

    def _write_later_floats(self, vector: "memoryview[float]", raw: Sequence[float]) -> None:
        """The bits of `_write_later`, by the arithmetic of single rows."""
        numbers = dict(zip(self._raw, raw, strict=True))
        for name, expression in self._derived:
            numbers[name] = expression.over_floats([numbers[column] for column in expression.inputs])
        for output, position in self._later:
            vector[position] = numeric_value(output, numbers[output.source])


def _categories(output: CategoricalOutput, table: CodeTable, position: int) -> Categories:
    codes = {text: code for text, code in table.codes.items() if text is not None}
    missing = table.codes[None]
    return Categories(output.mode == "one_hot", position, output.width, missing, table.unseen, codes)


def _is_copied(feature: Feature, column: int) -> bool:
    writes = [(write.column, write.shift, write.scale) for write in feature.writes]
    return feature.kind is Kind.NUMBER and writes == [(column, 0.0, 1.0)]


def _feature(spec: FeatureSpec, writes: Sequence[Write], raw: int, text: Categories | None) -> Feature:
    return Feature(spec.name, _KINDS[spec.kind], spec.nullable, spec.required, writes, raw, text)
