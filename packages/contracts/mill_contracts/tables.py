"""What is known of a table after profiling: columns, statistics, warnings. Stored with the dataset version."""

from enum import StrEnum
from typing import Any

from mill_contracts.base import Contract


class ColumnKind(StrEnum):
    """What a column holds, as a model sees it."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"
    DATE = "date"
    TIMESTAMP = "timestamp"
    EMPTY = "empty"


class Bin(Contract):
    """`low` ≤ value < `high`; the last bin includes `high`."""

    low: float
    high: float
    count: int


class TopValue(Contract):
    value: str
    count: int


class ColumnStatistics(Contract):
    """Numbers have mean…histogram; all others top values. Dates give `minimum`/`maximum` as ISO 8601 text."""

    name: str
    kind: ColumnKind
    missing: int
    distinct: int
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    standard_deviation: float | None = None
    quantiles: dict[str, float] = {}
    histogram: tuple[Bin, ...] = ()
    top_values: tuple[TopValue, ...] = ()


class TableWarning(Contract):
    """Something a person should look at; nothing is repaired. `code` is a stable slug such as `near-duplicate-labels`."""

    code: str
    column: str | None = None
    detail: str


class DatasetReport(Contract):
    rows: int
    format: str
    encoding: str | None = None
    delimiter: str | None = None
    compression: str | None = None
    parquet_bytes: int
    parquet_sha256: str
    columns: tuple[ColumnStatistics, ...]
    warnings: tuple[TableWarning, ...] = ()


class Preview(Contract):
    """The first rows, as JSON values in column order."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
