"""States are computed from results: never better than the trials, never silent about a failure."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.promises import (
    ROOT,
    Promise,
    Result,
    State,
    read_promises,
    read_results,
    state_of,
    write_result,
)
from tests.faults.table import page

PROMISE = Promise(1, "A job is kept", "many jobs", "1 000 jobs: lost 0", 1000, "jobs")
RESULT = Result(
    1, "a run", 1000, 0, 7, "2026-01-01T00:00:00Z", 12.0, "abc", "make test-faults ONLY=1", {"lost": 0}, 1000
)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, State.REACHED),
        ({"trials": 999}, State.BOUNDED),
        ({"failures": 1}, State.NOT_HELD),
        ({"trials": 0}, State.OPEN),
        ({"full": 0, "trials": 3}, State.REACHED),
    ],
)
def test_a_state_follows_from_trials_and_failures(change: dict[str, int], state: State) -> None:
    assert state_of(PROMISE, [replace(RESULT, **change)]) is state


def test_a_promise_is_as_good_as_its_worst_run() -> None:
    assert state_of(PROMISE, [RESULT, replace(RESULT, failures=2)]) is State.NOT_HELD
    assert state_of(PROMISE, [RESULT, replace(RESULT, trials=10)]) is State.BOUNDED
    assert state_of(PROMISE, []) is State.OPEN
    assert state_of(replace(PROMISE, short_of="a quiet day"), [RESULT]) is State.BOUNDED


def test_fewer_trials_state_their_bound_and_a_failure_its_number() -> None:
    bounded = page([PROMISE], {1: [replace(RESULT, trials=300)]})
    assert "**bounded**: < 0.01 of the jobs fail" in bounded
    assert "300 of 1000 jobs" in bounded
    assert "**not held**: 2 failed" in page([PROMISE], {1: [replace(RESULT, failures=2)]})
    assert "**open**: the part that does it" in page([replace(PROMISE, missing="the part that does it")], {})


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path)
    assert read_results(tmp_path) == {1: [RESULT]}


def test_there_are_forty_promises_and_each_can_be_tried_or_says_what_is_missing() -> None:
    from tests.faults.experiments.registry import EXPERIMENTS

    tried = {number for numbers in EXPERIMENTS for number in numbers}
    promises = read_promises()
    assert [one.number for one in promises] == list(range(1, 41))
    assert [one.number for one in promises if not (one.tests or one.missing or one.number in tried)] == []
    for one in promises:
        for test in one.tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).exists(), test
            assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8"), test


def test_the_page_is_what_the_results_say() -> None:
    command = [sys.executable, "-m", "tests.faults.table", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run `make generate`"
