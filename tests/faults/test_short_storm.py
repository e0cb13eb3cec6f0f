"""The short, seeded form of `make test-faults ONLY=1`: a few jobs, every kind of harm within reach, no finding."""

import os
from pathlib import Path

import pytest

from tests.faults.cluster import cluster
from tests.faults.course import Course
from tests.faults.experiments.storm import run_storm
from tests.faults.nemesis import bad_line, flush, kill_a_part, kill_a_trainer

SEED = int(os.environ.get("FAULTS_SEED", "20"))
JOBS = 12
FAULTS = 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_left_open_while_parts_are_killed(tmp_path: Path) -> None:
    course = Course(SEED, 1.0, tmp_path)
    with cluster(tmp_path / "short") as running:
        seen = run_storm(
            course,
            running,
            JOBS,
            faults={kill_a_part: 3, kill_a_trainer: 1, flush: 1, bad_line: 2},
            pause=(1.0, 2.0),
            drain_seconds=240,
            least_faults=FAULTS,
            longest=120,
        )
    assert seen.findings == [], seen.figures()
    assert seen.jobs >= JOBS
    assert sum(seen.faults.values()) >= FAULTS
