"""The shortest way from decoded values to the engine's vector: one row whose types a decoder has already checked.

`Package.quick_outputs` is the caller. It gives the same bits as `RowPlan`, and gives up (None) at whatever is unusual, an unseen
category for one: the caller then takes the usual way, which warns or names what is wrong.
"""

from array import array
from collections.abc import Mapping, Sequence
from math import nan

from mill_contracts.tables import ColumnKind

from mill_pack.encoding.document import CategoricalOutput, EncoderDocument, NumericOutput
from mill_pack.encoding.tables import CodeTable

QUICK_KINDS = frozenset({ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN, ColumnKind.STRING})

Value = float | int | bool | str | None
_NOWHERE = -1


class QuickPlan:
    """Immutable, shared by threads. `of` returns None for an encoder that needs more: dates, derived features."""

    @classmethod
    def of(cls, document: EncoderDocument, tables: Mapping[str, CodeTable], width: int) -> "QuickPlan | None":
        plain_values = all(output.kind == "categorical" or output.part == "value" for output in document.outputs)
        if (
            document.derived
            or not plain_values
            or not all(feature.kind in QUICK_KINDS for feature in document.features)
        ):
            return None
        return cls(document, tables, width)

    def __init__(self, document: EncoderDocument, tables: Mapping[str, CodeTable], width: int) -> None:
        self._template = array("d", bytes(8 * width))
        self._numbers: list[tuple[int, int, float, float, float]] = []
        self._ordinal: list[tuple[int, int, dict[str | None, float]]] = []
        self._one_hot: list[tuple[int, dict[str | None, int]]] = []
        place = {feature.name: number for number, feature in enumerate(document.features)}
        position = 0
        for output in document.outputs:
            self._add(output, place[output.source], position, tables)
            position += output.width
        names = [feature.name for feature in document.features]
        in_order = [output.source for output in document.outputs] == names
        self._is_copy = in_order and len(self._numbers) == width and not any(map(_changes, self._numbers))

    def _add(
        self, output: NumericOutput | CategoricalOutput, source: int, position: int, tables: Mapping[str, CodeTable]
    ) -> None:
        if isinstance(output, NumericOutput):
            fill = nan if output.fill is None else output.fill
            self._numbers.append((source, position, fill, output.shift, output.scale))
            return
        table = tables[output.source]
        if output.mode == "ordinal":
            self._ordinal.append((source, position, table.codes))
            return
        columns = {text: position + int(code) if code < table.width else _NOWHERE for text, code in table.codes.items()}
        self._one_hot.append((source, columns))

    def vector(self, values: Sequence[Value]) -> "array[float] | None":
        """`values` are finite and in the order of the signature, numbers for numbers and strings for strings; None is missing."""
        if self._is_copy:
            try:
                return array("d", values)  # pyright: ignore[reportArgumentType, reportCallIssue] - whatever is no number raises
            except (TypeError, OverflowError):
                pass
        try:
            return self._encode(values)
        except (TypeError, OverflowError):
            return None

    def _encode(self, values: Sequence[Value]) -> "array[float] | None":
        vector = self._template[:]
        for source, position, fill, shift, scale in self._numbers:
            value = values[source]
            vector[position] = ((fill if value is None else value) - shift) / scale  # pyright: ignore[reportOperatorIssue]
        for source, position, codes in self._ordinal:
            code = codes.get(values[source])  # pyright: ignore[reportArgumentType]
            if code is None:
                return None
            vector[position] = code
        for source, columns in self._one_hot:
            column = columns.get(values[source])  # pyright: ignore[reportArgumentType]
            if column is None:
                return None
            if column >= 0:
                vector[column] = 1.0
        return vector


def _changes(number: tuple[int, int, float, float, float]) -> bool:
    """A fill alone changes nothing where no value is missing."""
    return number[3] != 0.0 or number[4] != 1.0
