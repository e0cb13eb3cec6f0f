"""What the worker asks of the trainer: one JSON document of local paths for each verb. The trainer knows nothing else.

The trainer is started as `mill-trainer VERB --task TASK.json --report-fd N`; it writes into `out_dir` only.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from mill_contracts.adoption import DeclaredSignature, ModelFramework, SampleValue
from mill_contracts.base import Contract
from mill_contracts.recipe import Recipe, Task

TableFormat = Literal["csv", "json", "ndjson", "parquet"]


class Limits(Contract):
    """What a child process may use. Bytes and threads are given to DuckDB and to the ML libraries."""

    memory_bytes: int = Field(default=4 * 2**30, ge=2**26)
    threads: int = Field(default=2, ge=1)


class ProfileTask(Contract):
    """Raw file in; `data.parquet` (canonical, zstd), `report.json` (a `DatasetReport`) and `preview.json` out."""

    verb: Literal["profile"] = "profile"
    raw_file: Path
    out_dir: Path
    scratch_dir: Path
    declared_format: TableFormat | None = None
    file_name: str
    max_columns: int = 2_000
    max_cell_bytes: int = 8 * 2**20
    max_unpacked_bytes: int = 16 * 2**30
    preview_rows: int = 1_000
    limits: Limits = Limits()


class TrainTask(Contract):
    """Canonical Parquet in; `model.mill` (the package) and `report.json` (a `TrainingReport`) out."""

    verb: Literal["train"] = "train"
    data_file: Path
    out_dir: Path
    scratch_dir: Path
    recipe: Recipe
    model_id: str
    model_version_id: str
    model_name: str
    model_version: int
    dataset_version_id: str
    dataset_sha256: str
    sensitive: bool = False
    limits: Limits = Limits()


class ScoreTask(Contract):
    """A package and a table in; `predictions.parquet` or `.csv` and `report.json` (a `ScoreReport`) out.

    `source_is_canonical` is true for a dataset's Parquet; else the file is raw, of the named format, and hostile.
    """

    verb: Literal["score"] = "score"
    package_file: Path
    data_file: Path
    out_dir: Path
    scratch_dir: Path
    source_is_canonical: bool
    file_name: str
    output_format: Literal["parquet", "csv"] = "parquet"
    return_probabilities: bool = True
    limits: Limits = Limits()


class AdoptTask(Contract):
    """A model file from outside in, hostile until proven otherwise; `model.mill` and `report.json` (an `AdoptionReport`) out.

    Only the sandbox that the verb starts reads `raw_file`. `seconds` is how long it may take for it.
    """

    verb: Literal["adopt"] = "adopt"
    raw_file: Path
    out_dir: Path
    scratch_dir: Path
    framework: ModelFramework
    task: Task
    signature: DeclaredSignature = DeclaredSignature()
    sample_rows: tuple[dict[str, SampleValue], ...] = Field(default=(), max_length=1_000)
    model_id: str
    model_version_id: str
    model_name: str
    model_version: int
    file_name: str
    file_sha256: str
    seconds: float = Field(default=120.0, gt=0.0)
    limits: Limits = Limits()
