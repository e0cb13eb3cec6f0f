"""Killing the worker with -9 mid-training: no trainer outlives it, and the model is still trained, once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from modelmill import Client, JobEvent

from tests.conftest import Stack, eventually, processes_mentioning, running_stack

DATA = Path(__file__).parents[2] / "examples" / "data"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own, because this test kills parts of it."""
    with running_stack(tmp_path / "home", {}) as running:
        yield running


def trainers(stack: Stack) -> dict[int, str]:
    return {pid: line for pid, line in processes_mentioning(str(stack.home.root)).items() if "mill_trainer" in line}


def test_a_training_survives_the_death_of_its_worker_exactly_once(stack: Stack) -> None:
    with stack.client() as mill:
        project = mill.projects.create("Census")
        dataset = mill.datasets.upload(DATA / "adult.csv", project_id=project.id)
        model = mill.models.train(
            "census",
            project_id=project.id,
            dataset_id=dataset.id,
            framework="xgboost",
            parameters={"n_estimators": 400, "max_depth": 8},
        )
        assert model.job_id is not None
        wait_until_fitting(mill, model.job_id)
        assert trainers(stack), "the trainer runs while the job is fitting"

        os.kill(stack.pid("worker-ml"), signal.SIGKILL)

        eventually(
            lambda: not trainers(stack) or attempts(mill, model.job_id) > 1, 10, "no trainer outlives its worker"
        )
        trained = mill.models.wait(model, timeout=110)
        assert trained.status == "trained"
        assert attempts(mill, model.job_id) == 2
        assert [version.version for version in mill.models.versions(model.id)] == [1]
        eventually(lambda: not trainers(stack), 10, "no trainer is left behind")


def wait_until_fitting(mill: Client, job_id: str) -> None:
    def fitting(event: JobEvent) -> bool:
        return event.kind == "progress" and bool(event.data)

    assert any(fitting(event) for event in mill.jobs.events(job_id))


def attempts(mill: Client, job_id: str | None) -> int:
    assert job_id is not None
    return int(mill.jobs.get(job_id).raw["attempt"])
