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
        ({"full": 0, "trials": 3}, State.BOUNDED),
        ({"full": 1001}, State.BOUNDED),
    ],
)
def test_a_state_follows_from_trials_and_failures(change: dict[str, int], state: State) -> None:
    assert state_of(PROMISE, [replace(RESULT, **change)]) is state


def test_a_promise_is_as_good_as_its_worst_run() -> None:
    assert state_of(PROMISE, [RESULT, replace(RESULT, failures=2)]) is State.NOT_HELD
    assert state_of(PROMISE, [RESULT, replace(RESULT, trials=10)]) is State.BOUNDED
    assert state_of(PROMISE, []) is State.OPEN
    assert state_of(replace(PROMISE, short_of="a quiet day"), [RESULT]) is State.BOUNDED


def test_every_case_there_is_takes_one_clean_run() -> None:
    assert state_of(replace(PROMISE, full=0), [replace(RESULT, full=0, trials=3)]) is State.REACHED


def test_a_promise_of_several_parts_is_not_reached_without_each() -> None:
    promise = replace(PROMISE, parts={"a run": 1000, "another run": 20, "all cases": 0})
    other, cases = replace(RESULT, title="another run", trials=20, full=0), replace(RESULT, title="all cases", full=0)
    assert state_of(promise, [RESULT, other, cases]) is State.REACHED
    assert state_of(promise, [RESULT, replace(other, trials=19), cases]) is State.BOUNDED
    assert state_of(promise, [RESULT, replace(other, title="a third run"), cases]) is State.BOUNDED
    assert state_of(promise, [RESULT, replace(cases, failures=1)]) is State.NOT_HELD
    assert state_of(promise, [RESULT, replace(other, trials=0), cases]) is State.OPEN
    assert state_of(promise, []) is State.OPEN
    assert "; without another run, all cases" in page([promise], {1: [RESULT]})


def test_malicious_files_need_every_format() -> None:
    promise = next(one for one in read_promises() if one.number == 31)
    formats = [replace(RESULT, promise=31, title=title, trials=full) for title, full in promise.parts.items()]
    assert len(formats) == 5
    assert state_of(promise, formats) is State.REACHED
    for missing in range(5):
        assert state_of(promise, formats[:missing] + formats[missing + 1 :]) is State.BOUNDED


def test_what_was_recorded_in_several_runs_is_promised_in_several_parts() -> None:
    results = read_results()
    for promise in read_promises():
        titles = {one.title for one in results.get(promise.number, [])}
        assert len(titles) < 2 or titles <= set(promise.parts), promise.number


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
