"""The examples do what they say, against a running stack; the demo is run as `make demo EXIT=1` runs it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Stack

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(command: list[str], environment: dict[str, str] | None = None, seconds: float = 100) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_python_client_goes_the_whole_journey(stack: Stack) -> None:
    urls = ["--url", stack.api_url, "--serving-url", stack.serving_url]
    said = run([sys.executable, str(EXAMPLES / "python_client_demo.py"), *urls])
    assert "deployment: deployed" in said


def test_one_prediction_is_a_few_lines(stack: Stack) -> None:
    said = run([sys.executable, str(EXAMPLES / "simple_predict.py"), "--serving-url", stack.serving_url])
    assert "demo_model_1 says" in said


def test_the_walk_with_curl_ends_with_a_prediction(stack: Stack) -> None:
    said = run(["bash", str(EXAMPLES / "curl_walkthrough.sh"), stack.api_url, stack.serving_url])
    assert "prediction" in said


def test_the_smoke_test_passes(stack: Stack) -> None:
    run(["bash", str(ROOT / "test_api.sh")], {"API_URL": stack.api_url, "ML_URL": stack.serving_url})


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_does_the_main_job_and_keeps_its_data(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--exit", "--home", str(home)]
    run(command, seconds=300)
    figures = json.loads((home / "demo.json").read_text())
    assert figures["success"]
    assert figures["best_roc_auc"] >= 0.92
    assert len(figures["leaderboard"]) == 4
    assert len(figures["predictions"]) == 5
    with (home / "demo" / "predictions.csv").open(newline="") as source:
        assert sum(1 for _ in csv.reader(source)) == figures["batch"]["rows"] + 1

    again = run(command, seconds=120)
    assert "trained already" in again
    second = json.loads((home / "demo.json").read_text())
    assert second["best_roc_auc"] == figures["best_roc_auc"]
