# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyarrow ships no types; it is confined to this folder behind typed signatures.
"""CSV in: a header of feature names, an empty cell for a missing value. `text/csv; header=absent`: columns in signature order.

All cells are read as text; a column of numbers becomes numbers where all of it does, and else stays what it is, so that the
package says in which row what is wrong.
"""

import csv
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from mill_contracts.tables import ColumnKind
from numpy.typing import NDArray

from mill_serving.doors.tables.forms import Caps
from mill_serving.errors import InvalidRequest
from mill_serving.intake import Table, Wanted

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_NOTHING = frozenset({"nan", "null", "na", ""})
_WIDEST = 20_000


def read(body: bytes, wanted: Wanted, caps: Caps, *, header: bool) -> Table:
    """Raises `InvalidRequest` naming the line, `InvalidInput` naming columns, `BatchTooLarge`."""
    features = wanted.features
    first = _first_line(body)
    if not header and len(first) != len(features):
        raise InvalidRequest(f"{len(first)} columns; the model takes {len(features)}")
    if not first:
        raise InvalidRequest("the first line of the CSV is empty; it must hold the names of the columns, or values")
    names = first if header else [feature.name for feature in features]
    if len(set(names)) != len(names):
        raise InvalidRequest("the header names a column twice")
    table = _parsed(body, names, wanted.chosen(names), header=header)
    caps.check_cells(table.num_rows, table.num_columns)
    kinds = {feature.name: feature.kind for feature in features}
    return {
        name: _column(column, kinds.get(name)) for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _column(column: Any, kind: ColumnKind | None) -> NDArray[Any]:
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        try:
            return column.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            pass  # cell by cell it is seen which one is no number
    return column_of_text(column.to_pylist(), kind)


def column_of_text(texts: list[str | None], kind: ColumnKind | None) -> NDArray[Any]:
    """Cells as the values they stand for; whatever stands for none stays text, and is refused as such later."""
    if kind is None or kind is ColumnKind.STRING:
        return _objects(texts)
    if kind is ColumnKind.BOOLEAN:
        return _objects([_truth(text) for text in texts])
    numbers = [_number(text) for text in texts]
    if all(isinstance(number, float) for number in numbers):
        return np.array(numbers, dtype=np.float64)
    return _objects([None if number != number else number for number in numbers])


def _parsed(body: bytes, names: list[str], chosen: list[str], *, header: bool) -> Any:
    try:
        return pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(
                use_threads=False, column_names=names, skip_rows=int(header), block_size=max(len(body), 1 << 16)
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=chosen,
                column_types=dict.fromkeys(chosen, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, ValueError) as error:
        raise InvalidRequest(f"the CSV cannot be read: {str(error)[:300]}") from None


def _first_line(body: bytes) -> list[str]:
    line = body[: body.find(b"\n") + 1 or len(body)]
    if line.count(b",") > _WIDEST:
        raise InvalidRequest("the CSV has too many columns")
    try:
        return next(csv.reader([line.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidRequest(f"the first line of the CSV cannot be read: {error}") from None


def _number(text: str | None) -> Any:
    if text is None:
        return np.nan
    if _NUMBER.fullmatch(text):
        return float(text.strip())
    return np.nan if text.strip().lower() in _NOTHING else text


def _truth(text: str | None) -> Any:
    return None if text is None else _TRUTH.get(text.strip().lower(), text)


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
