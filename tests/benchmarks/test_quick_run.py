"""The benchmarks work: every question answers in a quick run, with its JSON and the README's block. Speed is not judged."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import readme
from benchmarks.common.answer import Answer
from benchmarks.train.models import DEMO
from tests.conftest import processes_mentioning

ROOT = Path(__file__).parents[2]
QUESTIONS = ("profile", "upload", "train", "predict")
TEXT = "# Modelmill\n\nbefore\n\n<!-- bench:begin -->\nold figures\n<!-- bench:end -->\n\nafter\n"


@dataclass(frozen=True)
class Run:
    done: "subprocess.CompletedProcess[str]"
    results: dict[str, dict[str, Any]]
    readme: str
    temporary: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "README.md").write_text(TEXT)
    (folder / "tmp").mkdir()
    command = [sys.executable, "benchmarks/run.py", "--quick", "--results", str(folder / "results")]
    done = subprocess.run(
        [*command, "--readme", str(folder / "README.md")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    kept = [json.loads(path.read_text()) for path in (folder / "results").glob("*.json")]
    results = {document["question"]: document for document in kept}
    return Run(done, results, (folder / "README.md").read_text(), folder / "tmp")


@pytest.mark.slow
@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_has_a_table_and_dated_json_with_its_rounds(run: Run, name: str) -> None:
    document = run.results[name]
    assert document["title"] in run.done.stdout
    assert document["quick"] is True
    assert document["rounds"]
    assert all(len(row) == len(document["columns"]) for row in document["rows"])
    assert {"date", "commit", "processor", "cores", "libraries"} <= document["machine"].keys()


@pytest.mark.slow
def test_both_sides_of_the_training_are_the_same_model(run: Run) -> None:
    assert run.results["train"]["broken"] == []


@pytest.mark.slow
def test_no_prediction_fails(run: Run) -> None:
    assert all(one["errors"] == 0 and one["requests"] > 0 for one in run.results["predict"]["rounds"])


@pytest.mark.slow
def test_only_the_marked_block_of_the_readme_is_rewritten(run: Run) -> None:
    before, _, rest = run.readme.partition(readme.BEGIN)
    block, _, after = rest.partition(readme.END)
    assert (before, after) == ("# Modelmill\n\nbefore\n\n", "\n\nafter\n")
    assert "old figures" not in block
    assert all(run.results[name]["title"] in block for name in QUESTIONS)


@pytest.mark.slow
def test_nothing_runs_or_lies_about_afterwards(run: Run) -> None:
    assert not processes_mentioning(str(run.temporary))
    assert list(run.temporary.iterdir()) == []


def test_an_interrupted_run_stops_what_it_started(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/run.py", "upload", "--quick"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(processes_mentioning(str(tmp_path))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) != 0
    assert not processes_mentioning(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_readme_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Modelmill\n")
    with pytest.raises(SystemExit, match="bench:begin"):
        readme.rewrite(path, [])
    assert path.read_text() == "# Modelmill\n"


def test_a_table_is_aligned_in_text_and_whole_in_markdown() -> None:
    table = Answer("Title", ["", "seconds"], [["copy", "1.00"], ["a longer name", "12.00"]], ["Note."])
    assert table.text().splitlines()[2:5] == [
        "               seconds",
        "copy              1.00",
        "a longer name    12.00",
    ]
    assert "| :-- | --: |\n| copy | 1.00 |" in table.markdown()


def test_the_models_are_the_demos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "examples"), *sys.path])
    journey = importlib.import_module("demo_journey")
    asked = {model.name: (model.framework, model.algorithm, model.parameters) for model in DEMO}
    assert asked == journey.MODELS
