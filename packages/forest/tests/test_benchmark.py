"""The engine's benchmark works; what it measures is another matter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "benchmarks" / "engines" / "run.py"


@pytest.mark.slow
def test_the_benchmark_of_engines_runs_and_finds_no_differing_bit(tmp_path: Path) -> None:
    command = [sys.executable, str(RUN), "--quick", "--cache", str(tmp_path / "models"), "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr[-2_000:]
    (written,) = tmp_path.glob("*-engines.json")
    rounds = json.loads(written.read_text())["rounds"]
    assert {one["model"] for one in rounds} == {"A2", "C2", "B", "B2"}
    assert all(one["differing"] == 0 for one in rounds)
