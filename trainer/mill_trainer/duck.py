# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# DuckDB types its values as Any; they become `object` here, and the rest of the trainer stays strictly typed.
"""The only place that opens DuckDB: in memory, sandboxed, with the limits of the task. Profiling uses it.

The engine may read the files it was given and write into two folders; it cannot load extensions, reach the network or
have its settings changed by a statement.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from mill_contracts.tasks import Limits

MEMORY_SHARE = 0.6
"""Of the task's memory; the rest is for Python, Arrow and what DuckDB does not count."""


class DuckError(Exception):
    """A statement failed. The message may name local paths, so it goes to the log and never to a user."""


class Duck:
    """A connection whose results are plain tuples of `object`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def run(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except duckdb.OutOfMemoryException as error:
            raise MemoryError(str(error)) from error
        except duckdb.Error as error:
            raise DuckError(str(error)) from error

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        self.run(sql)
        return self._connection.fetchall()

    def row(self, sql: str) -> tuple[object, ...]:
        """The single row of an aggregate."""
        return self.rows(sql)[0]

    def batches(self, sql: str, rows_per_batch: int) -> Iterator[Any]:
        """The result as `pyarrow.RecordBatch`es; the statement runs while they are taken."""
        try:
            yield from self._connection.sql(sql).to_arrow_reader(rows_per_batch)
        except duckdb.OutOfMemoryException as error:
            raise MemoryError(str(error)) from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise DuckError(str(error)) from error


@contextmanager
def open_duck(limits: Limits, scratch_dir: Path, files: Sequence[Path], folders: Sequence[Path]) -> Generator[Duck]:
    """A sandboxed engine: reads `files`, reads and writes `folders`, spills into `scratch_dir`."""
    spill = scratch_dir / "duckdb"
    spill.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "memory_limit": f"{int(limits.memory_bytes * MEMORY_SHARE)}B",
        "threads": limits.threads,
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET allowed_paths = {_list_of(files)}")
        connection.execute(f"SET allowed_directories = {_list_of([*folders, spill])}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield Duck(connection)
    finally:
        connection.close()


def text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def name(identifier: str) -> str:
    """A SQL identifier; case and punctuation are kept."""
    return '"' + identifier.replace('"', '""') + '"'


def _list_of(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(text(str(path)) for path in paths) + "]"
