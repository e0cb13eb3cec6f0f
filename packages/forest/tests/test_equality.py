"""A small part of the comparison that `equality/run.py` makes over millions of rows."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "equality" / "run.py"


@pytest.mark.slow
def test_generated_rows_get_the_librarys_answers_bit_for_bit() -> None:
    command = [sys.executable, str(RUN), "--rows", "30000", "--seed", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    assert len(done.stdout.splitlines()) == 16
