# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false
# pyarrow ships no types and makes its compute functions at import; it is confined to a few modules with typed signatures.
"""Foreign Parquet to canonical Parquet, batch by batch: the footer is checked first, the sizes again while reading."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mill_contracts.tables import TableWarning
from mill_contracts.tasks import ProfileTask

from mill_trainer.parquet_files import ParquetSink, arrow_type
from mill_trainer.profile.canonical import Canonical, Column
from mill_trainer.profile.header import check_names
from mill_trainer.profile.problems import (
    BrokenParquet,
    CellTooLarge,
    NoRows,
    NotFinite,
    UnpacksTooLarge,
    UnsupportedColumn,
)
from mill_trainer.profile.source import Source
from mill_trainer.reporting import Report
from mill_trainer.shape import Shape

ROWS_PER_BATCH = 65_536
LONGEST_EXACT_DECIMAL = 18

_BROKEN = "The Parquet file is damaged or of a kind that is not read. Write it again and upload it."


def read_parquet(task: ProfileTask, source: Source, target: Path, report: Report) -> Canonical:
    """Write the canonical Parquet of an uploaded one, or raise what is wrong with it, by column."""
    try:
        with pq.ParquetFile(source.path) as file:
            return _read(task, file, target, report)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BrokenParquet(_BROKEN) from error


def _read(task: ProfileTask, file: Any, target: Path, report: Report) -> Canonical:
    names: list[str] = list(file.schema_arrow.names)
    _check_footer(task, file, names)
    columns = [_ColumnReader(field.name, field.type, task.max_cell_bytes) for field in file.schema_arrow]
    report.stage("converting")
    total, unpacked = file.metadata.num_rows, 0
    with ParquetSink(target, names, [arrow_type(column.shape) for column in columns]) as sink:
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH):
            unpacked += batch.nbytes
            if unpacked > task.max_unpacked_bytes:
                _refuse_size(task)
            sink.write([column.read(values, sink.rows) for column, values in zip(columns, batch.columns, strict=True)])
            report.progress(0.6 * sink.rows / total, sink.rows, total, "rows")
    warnings = tuple(warning for column in columns for warning in column.warnings())
    return Canonical(tuple(Column(column.name, column.shape) for column in columns), sink.rows, warnings)


def _check_footer(task: ProfileTask, file: Any, names: Sequence[str]) -> None:
    if not names or file.metadata.num_rows == 0:
        raise NoRows("The Parquet file has no rows. Upload one with at least one row.")
    check_names(names, max_columns=task.max_columns, line=None)
    metadata = file.metadata
    declared = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if max(declared, metadata.num_rows * len(names)) > task.max_unpacked_bytes:
        _refuse_size(task)


def _refuse_size(task: ProfileTask) -> None:
    limit = task.max_unpacked_bytes // 2**20
    raise UnpacksTooLarge(f"The file unpacks to more than {limit} MiB, the limit. Split it into smaller files.")


class _ColumnReader:
    """Turns one column's batches into its canonical type and counts what had to be said aloud."""

    def __init__(self, name: str, kind: Any, max_cell_bytes: int) -> None:
        self.name = name
        self._kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        self._max_cell_bytes = max_cell_bytes
        self.shape = _shape_of(name, self._kind)
        self._not_a_number = 0
        self._rounded = False

    def read(self, values: Any, row: int) -> Any:
        """One batch that begins at `row` (0-based), as an Arrow array of the canonical type."""
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_nested(self._kind):
            return pa.array([_as_json(value) for value in values.to_pylist()], type=pa.string())
        if self.shape is Shape.NUMBER:
            return self._numbers(values, row)
        if self.shape is Shape.TEXT:
            return self._texts(values, row)
        if self.shape in (Shape.TIMESTAMP, Shape.ZONED):
            return self._moments(values)
        try:
            return values.cast(arrow_type(self.shape))
        except pa.ArrowInvalid as error:
            detail = f"Column {self.name!r} holds integers beyond 64 bits with sign. Store them as text."
            raise UnsupportedColumn.at(detail, column=self.name) from error

    def warnings(self) -> Iterator[TableWarning]:
        if self._not_a_number:
            detail = f"Column {self.name!r} has {self._not_a_number:,} NaN; they are read as missing."
            yield TableWarning(code="nan-read-as-missing", column=self.name, detail=detail)
        if pa.types.is_nested(self._kind):
            detail = f"Column {self.name!r} holds lists or structures; they are kept as JSON text."
            yield TableWarning(code="nested-kept-as-text", column=self.name, detail=detail)
        if pa.types.is_decimal(self._kind) and self.shape is Shape.NUMBER:
            detail = f"Column {self.name!r} holds decimals; they are read as 64-bit floats."
            yield TableWarning(code="decimals-rounded", column=self.name, detail=detail)
        if self._rounded:
            detail = f"Moments of {self.name!r} are finer than a microsecond; the rest is cut off."
            yield TableWarning(code="moments-rounded", column=self.name, detail=detail)

    def _numbers(self, values: Any, row: int) -> Any:
        numbers = values.cast(pa.float64(), safe=False)
        missing = pc.is_nan(numbers).fill_null(False)
        count = pc.sum(missing).as_py() or 0
        if count:
            self._not_a_number += count
            numbers = pc.if_else(missing, pa.scalar(None, pa.float64()), numbers)
        infinite = pc.index(pc.is_inf(numbers), True).as_py()
        if infinite >= 0:
            detail = f"Row {row + infinite + 1}, column {self.name!r}: the number is infinite. Store it as null."
            raise NotFinite.at(detail, column=self.name)
        return numbers

    def _texts(self, values: Any, row: int) -> Any:
        texts = values.cast(pa.string())
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        if longest > self._max_cell_bytes:
            at = pc.index(pc.binary_length(texts), longest).as_py()
            detail = (
                f"Row {row + at + 1}, column {self.name!r}: the value is larger than {self._max_cell_bytes:,} bytes."
            )
            raise CellTooLarge.at(detail, column=self.name)
        return texts

    def _moments(self, values: Any) -> Any:
        wanted = arrow_type(self.shape)
        try:
            return values.cast(wanted)
        except pa.ArrowInvalid:
            self._rounded = True
            return values.cast(wanted, safe=False)


def _shape_of(name: str, kind: Any) -> Shape:
    is_type = pa.types
    whole_decimal = is_type.is_decimal(kind) and kind.scale == 0 and kind.precision <= LONGEST_EXACT_DECIMAL
    checks: tuple[tuple[Shape, bool], ...] = (
        (Shape.EMPTY, is_type.is_null(kind)),
        (Shape.BOOLEAN, is_type.is_boolean(kind)),
        (Shape.INTEGER, is_type.is_integer(kind) or whole_decimal),
        (Shape.NUMBER, is_type.is_floating(kind) or is_type.is_decimal(kind)),
        (Shape.DATE, is_type.is_date(kind)),
        (Shape.ZONED, is_type.is_timestamp(kind) and kind.tz is not None),
        (Shape.TIMESTAMP, is_type.is_timestamp(kind)),
        (Shape.TEXT, is_type.is_string(kind) or is_type.is_large_string(kind) or is_type.is_string_view(kind)),
        (Shape.TEXT, is_type.is_time(kind) or is_type.is_nested(kind)),
    )
    for shape, fits in checks:
        if fits:
            return shape
    detail = f"Column {name!r} is of the type {kind}, which is not read. Leave it out, or store it as text or numbers."
    raise UnsupportedColumn.at(detail, column=name)


def _as_json(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)
