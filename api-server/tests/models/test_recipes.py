"""What can be known of a training without reading data: target, columns, algorithm, parameters."""

from typing import Any
from uuid import uuid4

import pytest
from mill_api.models import errors
from mill_api.models.recipes import choose_target, make_recipe
from mill_api.models.schemas import ModelWish
from mill_contracts.tables import ColumnKind, ColumnStatistics, TopValue
from mill_kit.problems import Invalid
from pydantic import ValidationError

COLUMNS = [
    ColumnStatistics(name="age", kind=ColumnKind.INTEGER, missing=0, distinct=70),
    ColumnStatistics(name="city", kind=ColumnKind.STRING, missing=3, distinct=12),
    ColumnStatistics(name="one", kind=ColumnKind.STRING, missing=0, distinct=1),
    ColumnStatistics(name="void", kind=ColumnKind.EMPTY, missing=9, distinct=0),
    ColumnStatistics(name="income", kind=ColumnKind.STRING, missing=0, distinct=2),
]


def wish(**changes: Any) -> ModelWish:
    plain = {
        "name": "m",
        "project_id": uuid4(),
        "dataset_id": uuid4(),
        "model_type": "classification",
        "framework": "xgboost",
    }
    return ModelWish.model_validate({**plain, **changes})


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["a", "target", "label"], "target"),
        (["label", "b", "class"], "label"),
        (["a", "Class", "b"], "Class"),
        (["a", "b"], "b"),
    ],
    ids=str,
)
def test_without_a_target_a_telling_name_wins_else_the_last_column(names: list[str], target: str) -> None:
    choice = choose_target(None, names)
    assert choice.target == target
    assert target in choice.reason or "last column" in choice.reason


def test_a_recipe_holds_all_that_was_wished() -> None:
    recipe, choice = make_recipe(wish(parameters={"n_estimators": 50}, exclude=["one", "void"], seed=7), COLUMNS)
    assert (recipe.target, choice.target, recipe.seed) == ("income", "income", 7)
    assert recipe.parameters == {"n_estimators": 50}
    assert recipe.exclude == ("one", "void")
    assert recipe.algorithm


@pytest.mark.parametrize(
    ("changes", "problem", "pointer", "words"),
    [
        ({"algorithm": "gradient_bosting"}, errors.UnknownAlgorithm, "/algorithm", "gradient_boosting"),
        ({"parameters": {"n_estimator": 5}}, errors.InvalidParameters, "/parameters/n_estimator", "n_estimators"),
        ({"parameters": {"max_depth": "deep"}}, errors.InvalidParameters, "/parameters/max_depth", "integer"),
        ({"target": "incom"}, errors.UnknownColumn, "/target", '"income"'),
        ({"features": ["age", "cty"]}, errors.UnknownColumn, "/features/1", '"city"'),
        ({"exclude": ["nothing like it"]}, errors.UnknownColumn, "/exclude/0", "age"),
        ({"features": ["income"]}, errors.UnsuitableTarget, "/features", "target"),
        ({"target": "one"}, errors.UnsuitableTarget, "/target", "one value"),
        ({"target": "void"}, errors.UnsuitableTarget, "/target", "missing"),
        ({"target": "city", "model_type": "regression"}, errors.UnsuitableTarget, "/target", "numbers"),
        ({"validation": {"time_column": "tme"}}, errors.UnknownColumn, "/validation/time_column", "no column"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_by_name(
    changes: dict[str, Any], problem: type[Exception], pointer: str, words: str
) -> None:
    with pytest.raises(problem) as refusal:
        make_recipe(wish(**changes), COLUMNS)
    found = refusal.value
    assert isinstance(found, Invalid)
    assert [error["pointer"] for error in found.errors] == [pointer]
    assert words in found.detail


@pytest.mark.parametrize("name", ["a/b", "a@2", "a\\b", "", " ", "x" * 101, "line\nbreak"])
def test_a_name_that_cannot_stand_in_a_url_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        wish(name=name)


def test_a_name_may_be_anything_else() -> None:
    assert wish(name="Ärger 🚀 'n' \"q\" 100%").name == "Ärger 🚀 'n' \"q\" 100%"


def test_a_regression_has_no_classes() -> None:
    with pytest.raises(ValidationError, match="decision_threshold"):
        wish(model_type="regression", decision_threshold=0.4)


def column(name: str, kind: ColumnKind, **counts: int) -> ColumnStatistics:
    """A column whose values are all known."""
    top = tuple(TopValue(value=value, count=count) for value, count in counts.items())
    return ColumnStatistics(name=name, kind=kind, missing=0, distinct=len(top), top_values=top)


KNOWN = [
    ColumnStatistics(name="age", kind=ColumnKind.INTEGER, missing=0, distinct=70),
    column("city", ColumnKind.STRING, Bonn=5, Rome=4, Oslo=3),
    column("rare", ColumnKind.STRING, a=9, b=2, lonely=1),
    ColumnStatistics(name="void", kind=ColumnKind.EMPTY, missing=12, distinct=0),
    column("income", ColumnKind.STRING, low=8, high=4),
]


def derived(*names: str) -> dict[str, Any]:
    return {"derived": [{"name": name, "expression": "age * 2"} for name in names]}


@pytest.mark.parametrize(
    ("changes", "slug", "pointer", "words"),
    [
        ({"exclude": ["age", "city", "rare", "void"]}, "no-features", "/exclude", "exclude fewer"),
        ({"exclude": ["age", "city", "rare"]}, "no-features", "/exclude", "exclude fewer"),
        ({"features": ["void"]}, "no-features", "/features", "other features"),
        ({"target": "income", "exclude": ["income"]}, "contradictory-columns", "/exclude/0", "is the target"),
        ({"exclude": ["age", "income"]}, "contradictory-columns", "/exclude/1", "another target"),
        ({"features": ["city", "age"], "exclude": ["age"]}, "contradictory-columns", "/features/1", '"age"'),
        ({"preprocessing": derived("x", "x")}, "contradictory-columns", "/preprocessing/derived/1/name", "derived"),
        ({"preprocessing": derived("city")}, "contradictory-columns", "/preprocessing/derived/0/name", "column"),
        ({"class_labels": {"middle": "M"}}, "classes-wrong", "/class_labels/middle", '"low", "high"'),
        ({"positive_class": "yes"}, "classes-wrong", "/positive_class", '"high"'),
        ({"class_labels": {"low": "x", "high": "x"}}, "classes-wrong", "/class_labels/low", '"x"'),
        ({"class_labels": {"low": "high"}}, "classes-wrong", "/class_labels/low", '"high"'),
        ({"target": "city", "decision_threshold": 0.4}, "classes-wrong", "/decision_threshold", "has 3"),
        ({"target": "age", "decision_threshold": 0.4}, "classes-wrong", "/decision_threshold", "has 70"),
        ({"target": "city", "positive_class": "Bonn"}, "classes-wrong", "/positive_class", "two classes"),
        ({"validation": {"time_column": "city"}}, "unsuitable-time-column", "/validation/time_column", "strings"),
        ({"target": "rare"}, "class-too-small", "/target", '"lonely"'),
    ],
    ids=str,
)
def test_what_the_statistics_tell_is_refused_before_a_job_is_made(
    changes: dict[str, Any], slug: str, pointer: str, words: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        make_recipe(wish(**changes), KNOWN)
    assert refusal.value.slug == slug
    assert [error["pointer"] for error in refusal.value.errors] == [pointer]
    assert words in refusal.value.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"class_labels": {"low": "Low", "high": "High"}, "positive_class": "high", "decision_threshold": 0.4},
        {"class_labels": {"low": "high", "high": "low"}},
        {"features": ["age"], "exclude": ["city"], "preprocessing": derived("x", "y")},
        {"validation": {"time_column": "age"}},
        {"target": "age", "class_labels": {"17": "seventeen"}},
    ],
    ids=str,
)
def test_what_may_work_is_left_to_the_trainer(changes: dict[str, Any]) -> None:
    assert make_recipe(wish(**changes), KNOWN)[0].target == changes.get("target", "income")


def test_classes_that_the_statistics_do_not_all_list_are_left_to_the_trainer() -> None:
    top = (TopValue(value="a", count=5), TopValue(value="b", count=1))
    partly = ColumnStatistics(name="label", kind=ColumnKind.STRING, missing=0, distinct=30, top_values=top)
    cut = column("label", ColumnKind.STRING, **{"a": 5, "a very long te…": 1})
    for target in (partly, cut):
        assert make_recipe(wish(class_labels={"zebra": "Z"}), [KNOWN[0], target])[0].target == "label"
