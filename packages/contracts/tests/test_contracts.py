"""The contracts refuse what both sides could misread, and travel through JSON unchanged."""

import pytest
from mill_contracts.jobs import LEGAL_MOVES, JobState
from mill_contracts.recipe import LowConfidence, Recipe
from mill_contracts.wire import Progress, messages
from pydantic import ValidationError

_RECIPE = {"task": "classification", "framework": "xgboost", "algorithm": "gradient_boosting", "target": "income"}


def test_a_recipe_travels_unchanged() -> None:
    recipe = Recipe.model_validate({**_RECIPE, "low_confidence": {"below": 0.6}, "decision_threshold": 0.4})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert recipe.low_confidence == LowConfidence(below=0.6)


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"task": "ranking"},
        {"validation": {"test_size": 0.0}},
        {"decision_threshold": float("nan")},
        {"task": "regression", "decision_threshold": 0.5},
        {"task": "regression", "class_labels": {"0": "no"}},
        {"preprocessing": {"derived": [{"name": "", "expression": "a"}]}},
    ],
    ids=str,
)
def test_a_malformed_recipe_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({**_RECIPE, **change})


def test_the_pipe_tells_messages_apart_by_kind() -> None:
    line = messages.dump_json(Progress(fraction=0.5, done=50, total=100, unit="trees"))
    assert messages.validate_json(line) == Progress(fraction=0.5, done=50, total=100, unit="trees")
    with pytest.raises(ValidationError):
        messages.validate_json(b'{"kind": "progress", "fraction": 1.5}')


def test_a_finished_job_never_moves_and_only_a_running_one_goes_back() -> None:
    final = {state for state in JobState if state.is_final}
    assert final == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    back = {state for state, moves in LEGAL_MOVES.items() if JobState.QUEUED in moves}
    assert back == {JobState.WAITING, JobState.RUNNING}
