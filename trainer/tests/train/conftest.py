"""Real tables as Parquet, and one call that trains on them and opens what came out."""

# pyarrow is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from mill_contracts.recipe import Recipe
from mill_contracts.tasks import Limits, TrainTask
from mill_contracts.training import TrainingReport
from mill_pack import Package, open_package
from mill_trainer.reporting import Report, SilentReport
from mill_trainer.train import train

EXAMPLES = Path(__file__).parents[3] / "examples" / "data"


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tables("adult", 500)`: a real table as Parquet, or its first rows."""
    folder = tmp_path_factory.mktemp("tables")

    def make(name: str, rows: int | None = None) -> Path:
        path = folder / f"{name}-{rows}.parquet"
        if not path.exists():
            options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
            table = pyarrow.csv.read_csv(EXAMPLES / f"{name}.csv", convert_options=options)
            # The diamonds lie in the order of their price: every so many rows shows them all.
            step = 1 if rows is None else table.num_rows // rows
            pyarrow.parquet.write_table(table.take(list(range(0, table.num_rows, step))[:rows]), path)
        return path

    return make


@pytest.fixture
def table_of(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """A table written by the test: column name → values."""

    def make(columns: dict[str, Any]) -> Path:
        path = tmp_path / "table.parquet"
        pyarrow.parquet.write_table(pa.table(columns), path)
        return path

    return make


@pytest.fixture
def task_of(tmp_path: Path) -> Callable[..., TrainTask]:
    """A task on a Parquet file; `sensitive` and the recipe's fields by name."""

    def make(data: Path, *, sensitive: bool = False, threads: int = 1, out: str = "out", **recipe: Any) -> TrainTask:
        for folder in (tmp_path / out, tmp_path / "scratch"):
            folder.mkdir(exist_ok=True)
        return TrainTask(
            data_file=data,
            out_dir=tmp_path / out,
            scratch_dir=tmp_path / "scratch",
            recipe=Recipe.model_validate(recipe),
            model_id="model",
            model_version_id="version",
            model_name="churn",
            model_version=1,
            dataset_version_id="dataset",
            dataset_sha256="0" * 64,
            sensitive=sensitive,
            limits=Limits(threads=threads),
        )

    return make


@pytest.fixture
def train_on(task_of: Callable[..., TrainTask]) -> Callable[..., tuple[TrainingReport, Package]]:
    """Train and hand back the written report and the opened package."""

    def run(data: Path, report: Report | None = None, **recipe: Any) -> tuple[TrainingReport, Package]:
        task = task_of(data, **recipe)
        train(task, report or SilentReport())
        written = TrainingReport.model_validate_json((task.out_dir / "report.json").read_bytes())
        return written, open_package(task.out_dir / "model.mill")

    return run
