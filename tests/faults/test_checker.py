"""The checker finds each kind of broken history, and nothing in a good one."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import Facts, check
from tests.faults.history import ClientLog, Operation, Outcome, history, read_history

SENT = {"name": "a", "sha256": "11"}
GOOD_HISTORY = [
    Operation(1, "ada", "upload", SENT, Outcome.OK, {"job": "j1"}),
    Operation(2, "bob", "upload", {"name": "b", "sha256": "22"}, Outcome.UNKNOWN),
    Operation(3, "ada", "see", {"job": "j1"}, Outcome.OK, {"state": "succeeded"}),
    Operation(4, "bob", "upload", {"name": "c", "sha256": "33"}, Outcome.FAIL),
]
GOOD = Facts(
    jobs={"j1": "succeeded", "j2": "failed"},
    paths={"j1": ["queued", "running", "queued", "running", "succeeded"], "j2": ["queued", "failed"]},
    subjects={"j1": "a", "j2": "b"},
    results={"j1": 1},
    stored={"a": "11", "b": "22"},
    named=frozenset({"k1"}),
    objects={"k1": "11", "orphan": "99"},
    seen={"ada": frozenset({"j1"}), "bob": frozenset({"j2"})},
    counted={"succeeded": 1, "failed": 1, "running": 0},
)


def test_a_good_history_has_no_finding() -> None:
    assert check(GOOD_HISTORY, GOOD) == []


@pytest.mark.parametrize(
    ("invariant", "change"),
    [
        ("I1", {"jobs": {"j2": "failed"}, "paths": {}, "counted": {}}),
        ("I1", {"jobs": {"j1": "succeeded", "j2": "running"}, "paths": {}, "counted": {}}),
        ("I1", {"subjects": {"j1": "a", "j2": "nobody's"}}),
        ("I1", {"subjects": {"j1": "a", "j2": "c"}}),
        ("I2", {"results": {"j1": 2}}),
        ("I2", {"subjects": {"j1": "a", "j2": "a"}}),
        ("I3", {"jobs": {"j1": "failed", "j2": "failed"}, "paths": {}, "counted": {}}),
        ("I3", {"paths": {"j1": ["queued", "running", "failed", "succeeded"]}}),
        ("I4", {"paths": {"j1": ["queued", "succeeded"]}}),
        ("I4", {"paths": {"j1": ["queued", "running", "failed"]}}),
        ("I4", {"paths": {"j1": ["running", "succeeded"]}}),
        ("I5", {"stored": {"a": "12"}}),
        ("I5", {"stored": {}}),
        ("I6", {"objects": {}}),
        ("I7", {"seen": {"ada": frozenset({"j1"}), "bob": frozenset({"j1"})}}),
        ("I8", {"counted": {"succeeded": 2}}),
    ],
)
def test_each_broken_invariant_is_found(invariant: str, change: dict[str, Any]) -> None:
    assert invariant in {finding.invariant for finding in check(GOOD_HISTORY, replace(GOOD, **change))}


def test_what_has_no_answer_is_unknown_and_may_have_happened_or_not() -> None:
    asked = [{"id": 7, "type": "invoke", "client": "ada", "what": "upload", "value": SENT}]
    (operation,) = history(asked)
    assert operation.outcome is Outcome.UNKNOWN
    assert check([operation], Facts()) == []
    assert check([operation], Facts(jobs={"j": "succeeded"}, subjects={"j": "a"})) == []


def test_a_log_is_read_back_as_it_was_written(tmp_path: Any) -> None:
    log = ClientLog(tmp_path / "log.jsonl")
    first = log.invoke("ada", "upload", SENT)
    log.fault("kill worker")
    log.done(first, Outcome.OK, {"job": "j1"})
    log.invoke("ada", "see", {"job": "j1"})
    log.close()
    assert [one.outcome for one in read_history(log.path)] == [Outcome.OK, Outcome.UNKNOWN]
