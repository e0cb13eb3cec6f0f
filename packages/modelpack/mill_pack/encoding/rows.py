"""One row at a time: the hot path of single predictions. Each input feature becomes one closure that checks its value and
writes its matrix columns; a row with anything unusual is looked at again by `checks`, which names all that is wrong."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from mill_contracts.tables import ColumnKind

from mill_pack.arrays import FloatArray
from mill_pack.encoding.checks import check_row
from mill_pack.encoding.dates import part_of_float
from mill_pack.encoding.document import CategoricalOutput, EncoderDocument, NumericOutput
from mill_pack.encoding.tables import CodeTable
from mill_pack.encoding.values import NUMBER_READERS, NumberReader, WrongValue
from mill_pack.expressions import CompiledExpression
from mill_pack.signature import FeatureSpec

Write = Callable[[FloatArray, float], None]
Put = Callable[[FloatArray, list[float], object], bool]
"""Checks a value and writes it; true when its category was unseen. Raises `WrongValue`."""

_NAN = math.nan


class RowPlan:
    def __init__(
        self,
        document: EncoderDocument,
        tables: Mapping[str, CodeTable],
        derived: Sequence[tuple[str, CompiledExpression]],
        width: int,
    ) -> None:
        self._features = document.features
        self._optional = {feature.name: None for feature in document.features if not feature.required}
        self._template = np.zeros(width)
        writes = _writes_by_source(document)
        needed = list(dict.fromkeys(name for _, expression in derived for name in expression.inputs))
        self._scratch = [_NAN] * len(needed)
        self._steps: list[tuple[str, Put]] = []
        for feature in document.features:
            if feature.kind is ColumnKind.STRING:
                put = _put_text(feature, writes.categorical[feature.name], tables[feature.name])
            else:
                slot = needed.index(feature.name) if feature.name in needed else None
                put = _put_number(feature, writes.numeric.get(feature.name, []), slot)
            self._steps.append((feature.name, put))
        self._derived = [
            (expression, [needed.index(name) for name in expression.inputs], write)
            for name, expression in derived
            for write in writes.numeric.get(name, [])
        ]

    def encode(self, row: Mapping[str, object], pointer: str) -> tuple[FloatArray, tuple[str, ...]]:
        """The (width,) vector and the names of features whose category was unseen. Raises `InvalidInput`."""
        try:
            complete = row if len(row) == len(self._steps) else {**self._optional, **row}
            if len(complete) == len(self._steps):
                return self._encode(complete)
        except (WrongValue, KeyError, TypeError):
            pass
        check_row(row, self._features, pointer)
        return self._encode({feature.name: row.get(feature.name) for feature in self._features})

    def _encode(self, row: Mapping[str, object]) -> tuple[FloatArray, tuple[str, ...]]:
        vector = self._template.copy()
        numbers = self._scratch.copy()
        unseen: tuple[str, ...] = ()
        for name, put in self._steps:
            if put(vector, numbers, row[name]):
                unseen = (*unseen, name)
        for expression, slots, write in self._derived:
            write(vector, expression.over_floats([numbers[slot] for slot in slots]))
        return vector, unseen


class _Writes:
    def __init__(self) -> None:
        self.numeric: dict[str, list[Write]] = {}
        self.categorical: dict[str, tuple[CategoricalOutput, int]] = {}


def _writes_by_source(document: EncoderDocument) -> _Writes:
    writes = _Writes()
    position = 0
    for output in document.outputs:
        if isinstance(output, NumericOutput):
            writes.numeric.setdefault(output.source, []).append(_write(output, position))
        else:
            writes.categorical[output.source] = (output, position)
        position += output.width
    return writes


def _write(output: NumericOutput, position: int) -> Write:
    fill = _NAN if output.fill is None else output.fill
    shift, scale, part = output.shift, output.scale, output.part

    def plain(vector: FloatArray, number: float) -> None:
        vector[position] = number if number == number else fill

    def scaled(vector: FloatArray, number: float) -> None:
        vector[position] = ((number if number == number else fill) - shift) / scale

    def of_part(vector: FloatArray, number: float) -> None:
        vector[position] = (part_of_float(part, number if number == number else fill) - shift) / scale

    if part != "value":
        return of_part
    return plain if shift == 0.0 and scale == 1.0 else scaled


def numeric_value(output: NumericOutput, number: float) -> float:
    """The matrix column of this output for one row, from its source's number; NaN is missing."""
    if number != number and output.fill is not None:
        number = output.fill
    if output.part != "value":
        number = part_of_float(output.part, number)
    return (number - output.shift) / output.scale


def _put_number(feature: FeatureSpec, writes: Sequence[Write], slot: int | None) -> Put:
    read = NUMBER_READERS[feature.kind]
    nullable = feature.nullable
    if len(writes) == 1 and slot is None:
        return _put_one_number(read, nullable, writes[0])

    def put(vector: FloatArray, numbers: list[float], value: object) -> bool:
        if value is None:
            if not nullable:
                raise WrongValue
            number = _NAN
        else:
            number = read(value)
        if slot is not None:
            numbers[slot] = number
        for write in writes:
            write(vector, number)
        return False

    return put


def _put_one_number(read: NumberReader, nullable: bool, write: Write) -> Put:
    def put(vector: FloatArray, _numbers: list[float], value: object) -> bool:
        if value is None:
            if not nullable:
                raise WrongValue
            write(vector, _NAN)
        else:
            write(vector, read(value))
        return False

    return put


def _put_text(feature: FeatureSpec, output: tuple[CategoricalOutput, int], table: CodeTable) -> Put:
    codes, unseen, nullable = table.codes, table.unseen, feature.nullable
    position = output[1]
    one_hot, width = output[0].mode == "one_hot", table.width

    def put(vector: FloatArray, _numbers: list[float], value: object) -> bool:
        if type(value) is not str and (value is not None or not nullable) and not isinstance(value, str):
            raise WrongValue
        code = codes.get(value)
        is_unseen = code is None
        if code is None:
            code = unseen
        if not one_hot:
            vector[position] = code
        elif code < width:
            vector[position + int(code)] = 1.0
        return is_unseen

    return put
