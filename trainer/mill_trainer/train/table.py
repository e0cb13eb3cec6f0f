"""A dataset's canonical Parquet as `mill_pack` columns: what the encoder, the target and the features are made from."""

# pyarrow ships no types; its arrays end here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportUnknownParameterType=false

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mill_contracts.tables import ColumnKind
from numpy.typing import NDArray

Column = NDArray[Any]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Table:
    """Columns of one length with their kinds, in file order (see `mill_pack.arrays.Columns` for what the arrays hold)."""

    columns: Mapping[str, Column]
    kinds: Mapping[str, ColumnKind]
    rows: int

    @cached_property
    def gaps(self) -> frozenset[str]:
        """Columns in which a value is missing anywhere."""
        return frozenset(name for name, column in self.columns.items() if is_missing(column).any())

    def take(self, rows: Rows) -> "Table":
        taken = {name: column[rows] for name, column in self.columns.items()}
        return Table(taken, self.kinds, len(rows))

    def only(self, names: tuple[str, ...]) -> "Table":
        columns = {name: self.columns[name] for name in names}
        return Table(columns, {name: self.kinds[name] for name in names}, self.rows)

    def closest(self, name: str) -> str | None:
        """The column that was probably meant."""
        by_folded = {column.casefold(): column for column in self.columns}
        matches = get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.5)
        return by_folded[matches[0]] if matches else None


def read_table(path: Path) -> Table:
    """Read the whole file; it is ours, written by the profile."""
    arrow = pq.read_table(path)
    columns: dict[str, Column] = {}
    kinds: dict[str, ColumnKind] = {}
    for index, name in enumerate(arrow.column_names):
        kinds[name] = kind_of(arrow.schema.field(index).type)
        columns[name] = _values(arrow.column(index), kinds[name])
    return Table(columns, kinds, arrow.num_rows)


def kind_of(arrow_type: Any) -> ColumnKind:
    """The kind a model sees in a column of this Arrow type; what is none of them is text."""
    checks = (
        (pa.types.is_boolean, ColumnKind.BOOLEAN),
        (pa.types.is_integer, ColumnKind.INTEGER),
        (pa.types.is_floating, ColumnKind.NUMBER),
        (pa.types.is_decimal, ColumnKind.NUMBER),
        (pa.types.is_date, ColumnKind.DATE),
        (pa.types.is_timestamp, ColumnKind.TIMESTAMP),
        (pa.types.is_null, ColumnKind.EMPTY),
    )
    return next((kind for check, kind in checks if check(arrow_type)), ColumnKind.STRING)


def is_missing(column: Column) -> NDArray[np.bool_]:
    """True where the column has no value."""
    if column.dtype == object:
        nothing: Column = np.array(None, dtype=object)
        return np.equal(column, nothing).astype(np.bool_)
    return np.isnan(column)


def has_infinity(column: Column) -> bool:
    return column.dtype != object and bool(np.isinf(column).any())


def _values(column: Any, kind: ColumnKind) -> Column:
    if kind is ColumnKind.STRING:
        return np.asarray(column.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)
    if kind is ColumnKind.EMPTY:
        return np.full(len(column), np.nan)
    if kind in (ColumnKind.DATE, ColumnKind.TIMESTAMP):
        column = pc.cast(column, pa.timestamp("ms"), safe=False).cast(pa.int64())
    numbers = pc.cast(column, pa.float64(), safe=False)
    return np.array(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)
