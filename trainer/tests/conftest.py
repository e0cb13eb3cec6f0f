"""What the trainer's tests share: a task for a file in a fresh folder, and the real tables of the repository."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow ships no types.

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mill_contracts.tasks import Limits, ProfileTask

MakeTask = Callable[..., ProfileTask]

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"


@pytest.fixture
def examples() -> Path:
    """The folder of real tables."""
    return EXAMPLES


@pytest.fixture
def profile_task(tmp_path: Path) -> MakeTask:
    """`profile_task(content, name=…, **fields)` writes the bytes as an upload and gives the task to profile them."""
    made = 0

    def make(content: bytes, name: str = "table.csv", **fields: object) -> ProfileTask:
        nonlocal made
        made += 1
        home = tmp_path / f"task-{made}"
        home.mkdir()
        raw = home / "raw"
        raw.write_bytes(content)
        out, scratch = home / "out", home / "scratch"
        out.mkdir()
        scratch.mkdir()
        known: dict[str, object] = {
            "raw_file": raw,
            "out_dir": out,
            "scratch_dir": scratch,
            "file_name": name,
            "limits": Limits(memory_bytes=2**30, threads=2),
        }
        return ProfileTask.model_validate(known | fields)

    return make


@pytest.fixture
def parquet_bytes() -> Callable[[Mapping[str, Any]], bytes]:
    """`parquet_bytes({name: values})` is a Parquet file of these columns (lists, or Arrow arrays)."""

    def write(columns: Mapping[str, Any]) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.table(dict(columns)), buffer)
        return buffer.getvalue()

    return write


@pytest.fixture
def read_parquet() -> Callable[[Path], dict[str, list[Any]]]:
    """The columns of a Parquet file as Python values."""

    def read(path: Path) -> dict[str, list[Any]]:
        table = pq.read_table(path)
        return {name: table.column(index).to_pylist() for index, name in enumerate(table.column_names)}

    return read
