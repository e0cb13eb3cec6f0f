"""JSON arrays and NDJSON to canonical Parquet, in two readings: the first learns keys and shapes, the second writes.

JSON says itself what is text and what is a number, so text is never read as a number (`"007"` stays). Text of which
every value is an ISO 8601 date or timestamp is one. A key that is absent is missing; nested values and columns of
mixed types are kept as JSON text, with a warning.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from mill_contracts.tables import TableWarning
from mill_contracts.tasks import ProfileTask

from mill_trainer.parquet_files import ParquetSink, arrow_type
from mill_trainer.profile.canonical import Canonical, Column
from mill_trainer.profile.header import check_names
from mill_trainer.profile.json_records import Record, array_records, ndjson_records
from mill_trainer.profile.problems import CellTooLarge, NoRows, NotFinite, TooManyColumns
from mill_trainer.profile.shapes import DATE, TIME
from mill_trainer.profile.source import Source
from mill_trainer.reporting import Report
from mill_trainer.shape import Shape

ROWS_PER_BATCH = 20_000
SMALLEST_64_BIT, LARGEST_64_BIT = -(2**63), 2**63 - 1

_ISO = (
    (Shape.DATE, re.compile(DATE)),
    (Shape.TIMESTAMP, re.compile(f"{DATE}[ T]{TIME}")),
    (Shape.ZONED, re.compile(rf"{DATE}[ T]{TIME}(Z|[+-]\d{{2}}:?\d{{2}})")),
)


@dataclass
class _Key:
    """What was seen under one key: JSON types, and the calendar shapes that all its text fits."""

    types: set[str] = field(default_factory=set[str])
    calendar: frozenset[Shape] = frozenset((Shape.DATE, Shape.TIMESTAMP, Shape.ZONED))

    def see(self, value: object) -> None:
        name = _TYPE_NAMES[type(value)]
        if name == "integer" and not SMALLEST_64_BIT <= value <= LARGEST_64_BIT:  # type: ignore[operator]
            name = "long integer"
        self.types.add(name)
        if self.calendar and isinstance(value, str):
            self.calendar = self.calendar & _calendar_shapes(value)

    @property
    def shape(self) -> Shape:
        if not self.types:
            return Shape.EMPTY
        if self.types == {"text"} and self.calendar:
            return next(iter(self.calendar))
        if self.types == {"integer", "number"}:
            return Shape.NUMBER
        only = next(iter(self.types)) if len(self.types) == 1 else "mixed"
        return {"boolean": Shape.BOOLEAN, "integer": Shape.INTEGER, "number": Shape.NUMBER}.get(only, Shape.TEXT)


_TYPE_NAMES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    dict: "nested",
    list: "nested",
}


def read_json(task: ProfileTask, source: Source, target: Path, report: Report, keep_text: frozenset[str]) -> Canonical:
    """Write the canonical Parquet of a JSON array or NDJSON file, or raise what is wrong with it, by line and key."""
    keys, rows = _learn(task, source)
    if rows == 0:
        raise NoRows("The file has no rows. Give an array of objects, or one object per line.")
    names = list(keys)
    check_names(names, max_columns=task.max_columns, line=None)
    report.progress(0.3)
    report.stage("converting")
    shapes = [Shape.TEXT if name in keep_text else key.shape for name, key in keys.items()]
    _write(source, names, shapes, target)
    columns = tuple(Column(name, shape) for name, shape in zip(names, shapes, strict=True))
    return Canonical(columns, rows, tuple(_warnings(keys)))


def _records(source: Source) -> Iterator[tuple[int, Record]]:
    read = array_records if source.format == "json" else ndjson_records
    return read(source.path, source.skip)


def _learn(task: ProfileTask, source: Source) -> tuple[dict[str, _Key], int]:
    keys: dict[str, _Key] = {}
    rows = 0
    for line, record in _records(source):
        rows += 1
        for name, value in record.items():
            key = keys.get(name)
            if key is None:
                key = keys[name] = _Key()
                if len(keys) > task.max_columns:
                    detail = f"With line {line} the rows have more than {task.max_columns:,} different keys."
                    raise TooManyColumns.at(f"{detail} Leave out what no model needs.", line=line)
            if value is not None:
                _check(value, line, name, task.max_cell_bytes)
                key.see(value)
    return keys, rows


def _check(value: object, line: int, name: str, max_cell_bytes: int) -> None:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        detail = f"Line {line}, column {name!r}: the number is larger than a float can be. Write it as text."
        raise NotFinite.at(detail, line=line, column=name)
    if isinstance(value, str) and len(value) * 4 > max_cell_bytes and len(value.encode()) > max_cell_bytes:
        detail = f"Line {line}, column {name!r}: the value is larger than {max_cell_bytes:,} bytes. Shorten it."
        raise CellTooLarge.at(detail, line=line, column=name)


def _calendar_shapes(value: str) -> frozenset[Shape]:
    for shape, pattern in _ISO:
        if pattern.fullmatch(value):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                break
            return frozenset((shape,))
    return frozenset()


def _write(source: Source, names: Sequence[str], shapes: Sequence[Shape], target: Path) -> None:
    convert = [_CONVERTERS.get(shape, _as_text) for shape in shapes]
    columns: list[list[object]] = [[] for _ in names]
    with ParquetSink(target, names, [arrow_type(shape) for shape in shapes]) as sink:
        for _, record in _records(source):
            for name, change, column in zip(names, convert, columns, strict=True):
                value = record.get(name)
                column.append(None if value is None else change(value))
            if columns and len(columns[0]) == ROWS_PER_BATCH:
                sink.write(columns)
                columns = [[] for _ in names]
        sink.write(columns)


def _same(value: object) -> object:
    return value


def _as_text(value: object) -> object:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_utc(value: object) -> object:
    return datetime.fromisoformat(str(value)).astimezone(UTC)


_CONVERTERS: dict[Shape, Callable[[object], object]] = {
    Shape.BOOLEAN: _same,
    Shape.INTEGER: _same,
    Shape.NUMBER: lambda value: float(value),  # type: ignore[arg-type]
    Shape.DATE: lambda value: date.fromisoformat(str(value)),
    Shape.TIMESTAMP: lambda value: datetime.fromisoformat(str(value)),
    Shape.ZONED: _as_utc,
}


def _warnings(keys: dict[str, _Key]) -> Iterator[TableWarning]:
    for name, key in keys.items():
        if "nested" in key.types:
            detail = f"Column {name!r} holds objects or lists; they are kept as JSON text."
            yield TableWarning(code="nested-kept-as-text", column=name, detail=detail)
        if "long integer" in key.types:
            detail = f"Column {name!r} holds integers of more than 64 bits; it is text, kept exactly."
            yield TableWarning(code="numbers-kept-as-text", column=name, detail=detail)
        if len(key.types) > 1 and key.shape is Shape.TEXT:
            mixed = ", ".join(sorted(key.types))
            detail = f"Column {name!r} mixes {mixed}; every value is kept as text."
            yield TableWarning(code="mixed-column", column=name, detail=detail)
        if key.shape is Shape.ZONED:
            detail = f"The moments of {name!r} carry time zones; they are kept as moments in UTC."
            yield TableWarning(code="zones-converted", column=name, detail=detail)
