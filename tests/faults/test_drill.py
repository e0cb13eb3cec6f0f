"""The drill, short: back up a stack that works, restore it beside, and let the doctor find what is then damaged."""

import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stack
from tests.faults.workload import table


def modelmill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("modelmill")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def checks(home: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    done = modelmill("doctor", "--home", str(home), "--json")
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)}


@pytest.mark.slow
def test_a_backup_is_restored_whole_and_the_doctor_names_what_is_damaged_afterwards(
    stack: Stack, tmp_path: Path
) -> None:
    with stack.client("keeper") as mill:
        project = mill.projects.create("Kept")
        data = io.BytesIO(table(random.Random(1), 200))  # noqa: S311 - the same table each time
        dataset = mill.datasets.upload(data, file_name="kept.csv", name="kept", project_id=project.id)
        model = mill.models.train("kept", project_id=project.id, dataset_id=dataset.id, framework="xgboost")
        mill.models.wait(model, timeout=100)
    backup, home = tmp_path / "backup", tmp_path / "restored"

    done = modelmill("backup", str(backup), "--home", str(stack.home.root))
    assert done.returncode == 0, done.stderr
    again = modelmill("backup", str(backup), "--home", str(stack.home.root))
    assert (again.returncode, "exists" in again.stderr) == (1, True)
    done = modelmill("restore", str(backup), "--home", str(home))
    assert done.returncode == 0, done.stderr

    status, found = checks(home)
    assert {name: check["detail"] for name, check in found.items() if check["verdict"] == "failed"} == {}
    assert status == 0
    assert found["orphans"]["findings"] == []

    package, upload = next(home.glob("objects/models/*/*/model.mill")), next(home.glob("objects/datasets/*/*/raw"))
    package.write_bytes(package.read_bytes()[:-1] + b"?")
    upload.unlink()
    status, found = checks(home)
    assert status == 1
    assert found["objects"]["verdict"] == "failed"
    named = " ".join(found["objects"]["findings"])
    assert "model.mill (model) differs" in named
    assert "raw (upload) is missing" in named
