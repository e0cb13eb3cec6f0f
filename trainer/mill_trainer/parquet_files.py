# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow ships no types; it is confined to this module and `profile.parquet_table`, whose signatures are typed.
"""Parquet through Arrow: what the readers of profiling and the writer of scoring need of it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mill_trainer.shape import Shape

ROWS_PER_GROUP = 122_880


def arrow_type(shape: Shape) -> Any:
    """How a shape stands in canonical Parquet."""
    types: dict[Shape, Any] = {
        Shape.BOOLEAN: pa.bool_(),
        Shape.INTEGER: pa.int64(),
        Shape.NUMBER: pa.float64(),
        Shape.DATE: pa.date32(),
        Shape.TIMESTAMP: pa.timestamp("us"),
        Shape.ZONED: pa.timestamp("us", tz="UTC"),
    }
    return types.get(shape, pa.string())


class ParquetSink:
    """Writes columns of Python values or Arrow arrays under given names, zstd-packed; use it as a context."""

    def __init__(self, target: Path, names: Sequence[str], types: Sequence[Any]) -> None:
        self._schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, types, strict=True)])
        self._writer = pq.ParquetWriter(target, self._schema, compression="zstd")
        self.rows = 0

    def write(self, columns: Sequence[Any]) -> None:
        """Append rows, given as one sequence of values per column."""
        arrays = [
            column if isinstance(column, pa.Array) else pa.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        batch = pa.Table.from_arrays(arrays, schema=self._schema)
        self._writer.write_table(batch, row_group_size=ROWS_PER_GROUP)
        self.rows += batch.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def write_batches(batches: Iterable[Any], names: Sequence[str], types: Sequence[Any], target: Path) -> int:
    """Write record batches under exactly these names (DuckDB would rename those that differ in case only)."""
    with ParquetSink(target, names, types) as sink:
        for batch in batches:
            sink.write(batch.columns)
        return sink.rows


def first_rows(path: Path, count: int) -> list[list[object]]:
    """The first rows as Python values, in column order."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=count):
            columns = [column.slice(0, count).to_pylist() for column in batch.columns]
            return [list(row) for row in zip(*columns, strict=True)]
    return []


def schema_of(path: Path) -> Any:
    """The Arrow schema."""
    return pq.read_schema(path)


def batches_of(path: Path, rows_per_batch: int) -> tuple[int, Iterator[Any]]:
    """The number of rows, and the record batches in order."""
    rows = pq.read_metadata(path).num_rows
    return rows, _batches(path, rows_per_batch)


def _batches(path: Path, rows_per_batch: int) -> Iterator[Any]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=rows_per_batch)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
