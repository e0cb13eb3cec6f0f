"""Promise 23: what ml-service answers over HTTP is what the library that trained the model predicts, row by row.

Every algorithm of the catalogue is trained by the trainer on a real table; a running ml-service serves the packages. The bare library
is fitted once more on the same encoded rows, and both predict 10,000 rows of the table, most of which the training never saw.
"""

# pyarrow is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false

import contextlib
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.csv
import pyarrow.parquet
from mill_contracts.algorithms import Algorithm, catalogue
from mill_contracts.recipe import Recipe, Task
from mill_contracts.tasks import Limits, TrainTask
from mill_local.ports import free_port
from mill_pack import Package, open_package
from mill_trainer.reporting import SilentReport
from mill_trainer.train import train
from mill_trainer.train.estimators import construct, family
from mill_trainer.train.fitting import predictions, probabilities
from mill_trainer.train.splitting import split_holdout
from mill_trainer.train.table import read_table
from mill_trainer.train.target import read_target
from numpy.typing import NDArray

from tests.faults.cluster import until
from tests.faults.course import Course, Trial
from tests.faults.promises import ROOT, Figure, Result

ROWS, TRAINED_ON, SINGLE = 10_000, 3_000, 50
TOLERANCE = 1e-6
"""Absolute for probabilities; relative to the value for numbers above 1, which are prices of thousands here."""
_TABLES = (
    (Task.CLASSIFICATION, "adult", "income"),
    (Task.CLASSIFICATION, "diamonds", "cut"),
    (Task.REGRESSION, "diamonds", "price"),
)
_QUICK: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 30},
    "extra_trees": {"n_estimators": 30},
    "mlp": {"hidden_layer_sizes": [32], "max_iter": 60},
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """An algorithm on a table."""

    algorithm: Algorithm
    table: str
    target: str

    @property
    def name(self) -> str:
        return f"{self.algorithm.framework.value}-{self.algorithm.name}-{self.target}".replace("_", "-")

    @property
    def recipe(self) -> Recipe:
        one = self.algorithm
        wish = {"task": one.task, "framework": one.framework, "algorithm": one.name, "target": self.target}
        return Recipe.model_validate({**wish, "parameters": _QUICK.get(one.name, {})})


def cases() -> list[Case]:
    return [
        Case(one, table, target)
        for one in catalogue().algorithms
        for task, table, target in _TABLES
        if one.task is task
    ]


def served(course: Course) -> list[Result]:
    trial, wanted = Trial(course, 23, "the library beside ml-service, over HTTP"), cases()
    rows = max(100, round(ROWS * course.scale))
    models = course.folder / "models"
    models.mkdir(parents=True)
    expected = {case.name: _train(course, case, models, rows) for case in wanted}
    differences = {Task.CLASSIFICATION: 0.0, Task.REGRESSION: 0.0}
    compared = wrong = classes = 0
    with serving(course.folder, models) as http:
        for case in wanted:
            given, answers = expected[case.name]
            found = compare(http, case.name, given, answers)
            task = case.algorithm.task
            differences[task] = max(differences[task], found.difference)
            classes += found.classes_differing
            compared += len(given)
            wrong += int(found.difference > TOLERANCE or found.classes_differing > 0)
            course.say(
                f"    {case.name}: {len(given)} rows, differ by {found.difference:g}, {found.classes_differing} classes"
            )
    figures: dict[str, Figure] = {
        "models": len(wanted),
        "rows compared": compared,
        "largest difference of a probability": differences[Task.CLASSIFICATION],
        "largest difference of a value, relative above 1": differences[Task.REGRESSION],
        "classes that differ": classes,
    }
    notes = "" if rows == ROWS else f"{rows} rows for each model."
    result = trial.result(len(wanted) if rows == ROWS else 0, wrong, figures, notes)
    return [result]


@dataclass(frozen=True)
class Found:
    difference: float
    classes_differing: int


def compare(http: httpx.Client, model: str, rows: list[dict[str, Any]], expected: "Expected") -> Found:
    """All rows in batches, and some of them one by one as well."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), ROWS):
        body = {"inputs": rows[start : start + ROWS], "return_probabilities": True}
        answers += http.post(f"/predict/{model}/batch", json=body).raise_for_status().json()["predictions"]
    for row in rows[:SINGLE]:
        alone = http.post(f"/predict/{model}", json={"input_data": row, "use_cache": False})
        answers.append(alone.raise_for_status().json())
    numbers = np.concatenate([expected.numbers, expected.numbers[:SINGLE]])
    if not expected.labels:
        values = np.array([answer["prediction"] for answer in answers], dtype=np.float64)
        return Found(float((np.abs(values - numbers) / np.maximum(1.0, np.abs(numbers))).max()), 0)
    given = np.array([[answer["probabilities"][label] for label in expected.labels] for answer in answers])
    best = np.array(expected.labels, dtype=object)[numbers.argmax(axis=1)].tolist()
    differing = sum(answer["prediction"] != label for answer, label in zip(answers, best, strict=True))
    return Found(float(np.abs(given - numbers).max()), differing)


@dataclass(frozen=True)
class Expected:
    """What the library predicts: (n, K) probabilities in the order of `labels`, or (n,) values."""

    labels: tuple[str, ...]
    numbers: Floats


def _train(course: Course, case: Case, models: Path, rows: int) -> tuple[list[dict[str, Any]], Expected]:
    """The package lies in `models`; rows as a client sends them, and the library's own answers."""
    folder, began = course.folder, time.monotonic()
    out = folder / case.name
    for made in (out / "out", out / "scratch"):
        made.mkdir(parents=True)
    whole = _parquet(folder, case.table, None)
    task = TrainTask(
        data_file=_parquet(folder, case.table, TRAINED_ON),
        out_dir=out / "out",
        scratch_dir=out / "scratch",
        recipe=case.recipe,
        model_id=case.name,
        model_version_id=f"{case.name}-1",
        model_name=case.name,
        model_version=1,
        dataset_version_id="table",
        dataset_sha256="0" * 64,
        limits=Limits(threads=1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(task, SilentReport())
        path = (out / "out" / "model.mill").replace(models / f"{case.name}.mill")
        package = open_package(path)
        estimator = _library(task, package)
        table = pyarrow.parquet.read_table(whole)
        names = [feature.name for feature in package.signature.features]
        given = _that_fit(table.select(names).to_pylist(), package)
        chosen = np.linspace(0, len(given) - 1, min(rows, len(given))).astype(np.intp)
        columns = read_table(whole).take(np.array([given[place][0] for place in chosen])).columns
        matrix = package.encoder.transform(columns)
        numbers = probabilities(estimator, matrix) if package.labels else predictions(estimator, matrix)
    course.say(f"    {case.name}: trained and predicted by its library in {time.monotonic() - began:.1f} s")
    return [given[place][1] for place in chosen], Expected(package.labels, numbers)


def _that_fit(rows: list[dict[str, Any]], package: Package) -> list[tuple[int, dict[str, Any]]]:
    """With their place in the table: a value that is missing where training saw none missing would be refused."""
    needed = [feature.name for feature in package.signature.features if not feature.nullable]
    return [(place, row) for place, row in enumerate(rows) if all(row[name] is not None for name in needed)]


def _library(task: TrainTask, package: Package) -> Any:
    """Fitted by nobody but its library, on the rows and with the parameters of the training."""
    recipe, table = task.recipe, read_table(task.data_file)
    target = read_target(table, recipe)
    table = table.take(target.rows)
    split = split_holdout(table, target, recipe)
    one = catalogue().algorithm(recipe.framework, recipe.task, recipe.algorithm)
    estimator = construct(
        family(one.framework, one.name), recipe.task, one.canonical(recipe.parameters), recipe.seed, threads=1
    )
    estimator.fit(package.encoder.transform(table.take(split.training).columns), target.y[split.training])
    return estimator


def _parquet(folder: Path, name: str, rows: int | None) -> Path:
    """The table, or rows of it spread evenly, as the trainer's profile would write it."""
    path = folder / f"{name}-{rows}.parquet"
    if not path.exists():
        options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
        table = pyarrow.csv.read_csv(ROOT / "examples" / "data" / f"{name}.csv", convert_options=options)
        step = 1 if rows is None else table.num_rows // rows
        pyarrow.parquet.write_table(table.take(list(range(0, table.num_rows, step))[:rows]), path)
    return path


@contextlib.contextmanager
def serving(folder: Path, models: Path) -> Generator[httpx.Client]:
    """ml-service as a process of its own, with these packages."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MILL_")},
        "MILL_ENVIRONMENT": "test",
        "MILL_SERVING__CACHE_DIR": str(folder / "serving"),
        "MILL_SERVING__SHARED_MODELS_DIR": str(models),
    }
    command = [sys.executable, "-m", "mill_serving", "serve", "--port", str(port)]
    with (folder / "ml-service.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
            until(lambda: _answers(http), 60, "ml-service answers")
            yield http
    finally:
        process.kill()
        process.wait()


def _answers(http: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return http.get("/health/ready").status_code == 200
    return False
