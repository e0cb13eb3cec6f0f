"""What cannot be trained is refused with a problem that names the thing and says what to do; nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.tasks import TrainTask
from mill_kit.problems import Problem
from mill_trainer.reporting import SilentReport
from mill_trainer.train import train

Tables = Callable[..., Path]
TableOf = Callable[[dict[str, Any]], Path]
Refuse = Callable[..., Problem]

XGBOOST: dict[str, Any] = {"task": "classification", "framework": "xgboost", "algorithm": "gradient_boosting"}
SKLEARN: dict[str, Any] = {"task": "classification", "framework": "scikit-learn"}


@pytest.fixture
def refuse(task_of: Callable[..., TrainTask]) -> Refuse:
    """Train, and hand back the problem; the output folder stays empty."""

    def run(data: Path, **recipe: Any) -> Problem:
        task = task_of(data, **{**XGBOOST, **recipe})
        with pytest.raises(Problem) as caught:
            train(task, SilentReport())
        assert list(task.out_dir.iterdir()) == []
        assert caught.value.status == 422
        return caught.value

    return run


def test_a_missing_target_column_names_the_closest(tables: Tables, refuse: Refuse) -> None:
    problem = refuse(tables("titanic"), target="Surviv")
    assert problem.slug == "target-missing"
    assert 'Did you mean "survived"' in problem.detail


def test_a_target_without_any_value_is_refused(table_of: TableOf, refuse: Refuse) -> None:
    empty = table_of({"x": [1, 2, 3], "y": [None, None, None]})
    assert refuse(empty, target="y").slug == "target-missing"


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_constant_target_is_refused(task: str, table_of: TableOf, refuse: Refuse) -> None:
    assert refuse(table_of({"x": [1, 2, 3, 4], "y": [5, 5, 5, None]}), target="y", task=task).slug == "target-constant"


def test_a_class_with_one_row_is_refused_by_name(table_of: TableOf, refuse: Refuse) -> None:
    problem = refuse(table_of({"x": list(range(7)), "y": ["a", "a", "b", "b", "b", "a", "lonely"]}), target="y")
    assert problem.slug == "class-too-small"
    assert '"lonely"' in problem.detail


def test_a_target_of_too_many_classes_is_refused(table_of: TableOf, refuse: Refuse) -> None:
    many = table_of({"x": list(range(2400)), "y": [index // 2 for index in range(2400)]})
    problem = refuse(many, target="y")
    assert problem.slug == "classes-wrong"
    assert "1200 classes" in problem.detail


def test_a_regression_on_text_is_refused(tables: Tables, refuse: Refuse) -> None:
    problem = refuse(tables("diamonds", 50), target="cut", task="regression")
    assert problem.slug == "not-numeric-target"


def test_a_table_without_features_is_refused(table_of: TableOf, refuse: Refuse) -> None:
    path = table_of({"y": [1, 0, 1, 0], "nothing": [None] * 4, "left_out": [1, 2, 3, 4]})
    assert refuse(path, target="y", exclude=("left_out",)).slug == "no-features"


@pytest.mark.parametrize(
    "named", [{"features": ("agee",)}, {"exclude": ("agee",)}, {"validation": {"time_column": "agee"}}]
)
def test_a_column_the_table_does_not_have_names_the_closest(
    named: dict[str, Any], tables: Tables, refuse: Refuse
) -> None:
    problem = refuse(tables("titanic"), target="survived", **named)
    assert problem.slug == "column-missing"
    assert 'did you mean "age"' in problem.detail
    assert problem.errors[0]["pointer"].startswith("/")


def test_an_unknown_algorithm_names_the_closest(tables: Tables, refuse: Refuse) -> None:
    problem = refuse(tables("titanic"), target="survived", **SKLEARN | {"algorithm": "random_forrest"})
    assert problem.slug == "unknown-algorithm"
    assert 'did you mean "random_forest"' in problem.detail


def test_wrong_parameters_are_refused_each_by_pointer(tables: Tables, refuse: Refuse) -> None:
    problem = refuse(tables("titanic"), target="survived", parameters={"max_dept": 3, "subsample": 2})
    assert problem.slug == "invalid-parameters"
    assert [error["pointer"] for error in problem.errors] == ["/parameters/max_dept", "/parameters/subsample"]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (
            {**SKLEARN, "algorithm": "logistic_regression", "parameters": {"solver": "liblinear", "l1_ratio": 0.5}},
            "elasticnet",
        ),
        ({**SKLEARN, "algorithm": "knn", "parameters": {"n_neighbors": 5000}}, "n_neighbors"),
        ({"framework": "lightgbm", "parameters": {"boosting_type": "rf"}}, "bagging"),
        ({"task": "regression", "target": "fare", "parameters": {"objective": "reg:gamma"}}, "gamma"),
    ],
)
def test_what_only_the_library_refuses_is_quoted(
    recipe: dict[str, Any], words: str, tables: Tables, refuse: Refuse
) -> None:
    problem = refuse(tables("titanic", 300), **{"target": "survived", **recipe})
    assert problem.slug == "invalid-parameters"
    assert words in problem.detail.lower()
    assert "Stack trace" not in problem.detail


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"class_labels": {"2": "two"}}, 'no class "2"'),
        ({"positive_class": "yes"}, 'no class "yes"'),
        ({"class_labels": {"0": "same", "1": "same"}}, "one label"),
        ({"target": "pclass", "decision_threshold": 0.3}, "two classes"),
        ({**SKLEARN, "algorithm": "random_forest", "parameters": {"class_weight": {"dead": 2}}}, 'no class "dead"'),
    ],
)
def test_class_options_must_fit_the_classes(recipe: dict[str, Any], words: str, tables: Tables, refuse: Refuse) -> None:
    problem = refuse(tables("titanic"), **{"target": "survived", **recipe})
    assert problem.slug == "classes-wrong"
    assert words in problem.detail


def test_a_class_that_cannot_be_learnt_from_is_refused(table_of: TableOf, refuse: Refuse) -> None:
    late = {"when": list(range(100)), "x": list(range(100)), "y": ["a", "b"] * 45 + ["c"] * 10}
    problem = refuse(table_of(late), target="y", validation={"time_column": "when"})
    assert problem.slug == "class-too-small"
    assert '"c"' in problem.detail
    rare = {"x": list(range(22)), "y": ["a"] * 20 + ["b"] * 2}
    folds = {"method": "cross_validation", "folds": 2}
    assert refuse(table_of(rare), target="y", validation=folds).slug == "class-too-small"


def test_a_time_column_must_hold_times(tables: Tables, refuse: Refuse) -> None:
    problem = refuse(tables("titanic"), target="survived", validation={"time_column": "sex"})
    assert problem.errors[0]["pointer"] == "/validation/time_column"


def test_too_few_rows_for_the_folds_are_refused(table_of: TableOf, refuse: Refuse) -> None:
    path = table_of({"x": list(range(10)), "y": ["a", "b"] * 5})
    problem = refuse(path, target="y", validation={"method": "cross_validation", "folds": 10})
    assert problem.slug == "too-few-rows"


def test_infinite_numbers_are_refused_by_column(table_of: TableOf, refuse: Refuse) -> None:
    path = table_of({"x": [1.0, np.inf, 2.0, 3.0], "y": ["a", "b", "a", "b"]})
    problem = refuse(path, target="y")
    assert problem.slug == "infinite-values"
    assert '"x"' in problem.detail


def test_a_wrong_derived_feature_is_refused(tables: Tables, refuse: Refuse) -> None:
    derived = ({"name": "ratio", "expression": "fare / agee"},)
    problem = refuse(tables("titanic"), target="survived", preprocessing={"derived": derived})
    assert problem.slug == "invalid-expression"


def test_a_derived_feature_of_an_excluded_column_is_refused_by_name(tables: Tables, refuse: Refuse) -> None:
    derived = ({"name": "kin", "expression": "sibsp + parch"}, {"name": "double", "expression": "fare * 2"})
    problem = refuse(tables("titanic"), target="survived", exclude=("fare",), preprocessing={"derived": derived})
    assert problem.slug == "invalid-expression"
    assert [error["pointer"] for error in problem.errors] == ["/preprocessing/derived/1/expression"]
    assert all(word in problem.detail for word in ('"double"', '"fare"', "exclude"))


@pytest.mark.parametrize("target", ["survived", "sex"])
def test_a_derived_feature_of_the_target_is_refused_as_a_leak(target: str, tables: Tables, refuse: Refuse) -> None:
    derived = ({"name": "leak", "expression": f"age + {target}"},)
    problem = refuse(tables("titanic"), target=target, preprocessing={"derived": derived})
    assert problem.slug == "invalid-expression"
    assert all(word in problem.detail for word in ('"leak"', f'"{target}"', "target"))
