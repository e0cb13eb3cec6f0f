"""What a reader hands on: the canonical Parquet it wrote and what it saw on the way. Profiling and scoring use it."""

from dataclasses import dataclass

from mill_contracts.tables import TableWarning

from mill_trainer.shape import Shape


@dataclass(frozen=True)
class Column:
    name: str
    shape: Shape


@dataclass(frozen=True)
class Canonical:
    columns: tuple[Column, ...]
    rows: int
    warnings: tuple[TableWarning, ...] = ()
    delimiter: str | None = None
