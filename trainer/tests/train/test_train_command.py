"""The command line as the worker runs it: a raw file profiled, a model trained on what came out, or a refusal."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mill_contracts.recipe import Recipe
from mill_contracts.tasks import Limits, ProfileTask, TrainTask
from mill_contracts.training import TrainingReport
from mill_contracts.wire import Message, Progress, Refused, Succeeded, messages
from mill_pack import open_package
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport

EXAMPLES = Path(__file__).parents[3] / "examples" / "data"


@pytest.fixture
def profiled(tmp_path: Path) -> Path:
    """The passenger list as the profile leaves it."""
    out, scratch = tmp_path / "profile", tmp_path / "scratch"
    out.mkdir()
    scratch.mkdir()
    raw = EXAMPLES / "titanic.csv"
    profile(ProfileTask(raw_file=raw, out_dir=out, scratch_dir=scratch, file_name=raw.name), SilentReport())
    return out / "data.parquet"


def command(task: TrainTask, folder: Path) -> tuple[int, list[Message]]:
    task_file = folder / "task.json"
    task_file.write_text(task.model_dump_json())
    reading, writing = os.pipe()
    arguments = [sys.executable, "-m", "mill_trainer", "train", "--task", str(task_file), "--report-fd", str(writing)]
    child = subprocess.Popen(arguments, pass_fds=[writing], stdout=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = [messages.validate_json(line) for line in pipe]
    return child.wait(60), said


def test_a_profiled_table_is_trained_on_within_its_limits(
    profiled: Path, task_of: Callable[..., TrainTask], tmp_path: Path
) -> None:
    recipe: dict[str, Any] = {
        "task": "classification",
        "framework": "lightgbm",
        "algorithm": "lightgbm",
        "target": "survived",
        "exclude": ("alive",),
    }
    task = task_of(profiled, **recipe).model_copy(update={"limits": Limits(memory_bytes=2**30, threads=2)})
    code, said = command(task, tmp_path)
    assert (code, said[-1]) == (0, Succeeded(files=("model.mill", "report.json")))
    rounds = [one.done for one in said if isinstance(one, Progress) and one.unit == "rounds"]
    assert rounds == sorted(rounds, key=lambda done: done or 0)
    report = TrainingReport.model_validate_json((task.out_dir / "report.json").read_bytes())
    assert report.recipe == Recipe.model_validate(recipe)
    assert report.metrics["roc_auc"] > 0.8
    passenger = {"pclass": 1, "sex": "female", "age": 30, "sibsp": 0, "parch": 0, "fare": 80.0, "embarked": "C"}
    rest = {
        "class": "First",
        "who": "woman",
        "adult_male": False,
        "deck": None,
        "embark_town": "Cherbourg",
        "alone": True,
    }
    assert open_package(task.out_dir / "model.mill").predict_one({**passenger, **rest}).value == "1"


def test_a_recipe_that_does_not_fit_the_data_ends_as_refused(
    profiled: Path, task_of: Callable[..., TrainTask], tmp_path: Path
) -> None:
    task = task_of(profiled, task="regression", framework="xgboost", algorithm="xgboost", target="sex")
    code, said = command(task, tmp_path)
    assert code == 0
    assert isinstance(said[-1], Refused)
    assert said[-1].problem.type == "urn:modelmill:problem:not-numeric-target"
    assert list(task.out_dir.iterdir()) == []
