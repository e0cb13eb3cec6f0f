"""The parts of a training that can be looked at alone: forests grown in steps, splits, folds, curves, metrics."""

from typing import Any

import numpy as np
import pytest
from mill_contracts.algorithms import catalogue
from mill_contracts.recipe import Framework, Recipe, Task
from mill_contracts.tables import ColumnKind
from mill_trainer.train.curves import MOST_POINTS, classification_curves, regression_curves
from mill_trainer.train.decisions import Classes
from mill_trainer.train.errors import InvalidParameters
from mill_trainer.train.estimators import construct, family
from mill_trainer.train.evaluation import Evaluator
from mill_trainer.train.fitting import Fitting, fit, predictions, probabilities
from mill_trainer.train.metrics import classification_metrics, regression_metrics
from mill_trainer.train.splitting import folds, split_holdout
from mill_trainer.train.table import Table
from mill_trainer.train.target import Target, label

RANDOM = np.random.default_rng(3)


def recipe(**validation: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "task": "classification",
            "framework": "xgboost",
            "algorithm": "gradient_boosting",
            "target": "y",
            "validation": validation,
        }
    )


def target_of(*sizes: int) -> tuple[Table, Target]:
    y = np.repeat(np.arange(len(sizes)), sizes)
    table = Table({"when": np.arange(len(y), dtype=np.float64)[::-1]}, {"when": ColumnKind.TIMESTAMP}, len(y))
    return table, Target(y, np.arange(len(y)), tuple("abcdef"[: len(sizes)]))


@pytest.mark.parametrize("name", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.REGRESSION])
@pytest.mark.parametrize("parameters", [{}, {"bootstrap": True, "max_samples": 0.5, "max_features": 0.5}])
def test_a_forest_grown_in_steps_is_the_forest_of_a_single_fit(
    name: str, task: Task, parameters: dict[str, Any]
) -> None:
    matrix = RANDOM.normal(size=(120, 5))
    matrix[::7, 2] = np.nan
    y = (
        (np.nan_to_num(matrix) @ np.arange(5) > 0).astype(np.int64)
        if task is Task.CLASSIFICATION
        else matrix[:, 0] ** 3
    )
    chosen = family(Framework.SKLEARN, name)
    wanted = {"n_estimators": 37, **parameters}
    algorithm = catalogue().algorithm(Framework.SKLEARN, task, name)
    seen: list[int] = []
    classes = ("0", "1") if task is Task.CLASSIFICATION else ()
    fitting = Fitting.of(chosen, algorithm, wanted, classes, 11, 1)
    stepped = fit(fitting, matrix, y, lambda done, _total, _unit: seen.append(done)).estimator
    whole = construct(chosen, task, wanted, seed=11, threads=1)
    whole.fit(matrix, y)
    answer = probabilities if task is Task.CLASSIFICATION else predictions
    assert seen[-1] == 37
    assert len(seen) > 5
    assert np.array_equal(answer(stepped, matrix), answer(whole, matrix))
    assert stepped.get_params() == whole.get_params()


def test_every_class_is_on_both_sides_of_a_stratified_split() -> None:
    table, target = target_of(2, 3, 95)
    split = split_holdout(table, target, recipe(test_size=0.2))
    assert np.bincount(target.y[split.holdout]).tolist() == [1, 1, 19]
    assert sorted([*split.training, *split.holdout]) == list(range(100))


def test_the_seed_decides_the_split() -> None:
    table, target = target_of(50, 50)
    first = split_holdout(table, target, recipe())
    again = split_holdout(table, target, recipe())
    other = split_holdout(table, target, recipe().model_copy(update={"seed": 5}))
    assert first.holdout.tolist() == again.holdout.tolist() != other.holdout.tolist()


def test_folds_part_the_training_rows_and_keep_the_hold_out_away() -> None:
    table, target = target_of(40, 60)
    wanted = recipe(method="cross_validation", folds=4)
    split = split_holdout(table, target, wanted)
    parts = list(folds(split, target, wanted))
    assert sorted(row for part in parts for row in part.holdout) == split.training.tolist()
    assert all(not set(part.training) & set(part.holdout) for part in parts)
    assert {tuple(np.bincount(target.y[part.holdout])) for part in parts} == {(8, 12)}


def test_over_time_each_fold_is_measured_on_what_came_after_it() -> None:
    table, target = target_of(100)
    wanted = recipe(method="cross_validation", folds=5, time_column="when")
    split = split_holdout(table, target, wanted)
    when = table.columns["when"]
    assert when[split.holdout].min() > when[split.training].max()
    parts = list(folds(split, target, wanted))
    assert len(parts) == 4
    assert all(when[part.training].max() < when[part.holdout].min() for part in parts)


def test_a_metric_that_is_undefined_is_left_out() -> None:
    classes = Classes(("a", "b", "c"))
    measured = classification_metrics(np.array([0, 1, 0]), np.eye(3)[[0, 1, 0]] * 0.8 + 0.2 / 3, classes)
    assert "roc_auc" not in measured
    assert measured["accuracy"] == 1.0
    assert "r2" not in regression_metrics(np.array([2.0]), np.array([2.5]))


def test_a_model_whose_predictions_are_not_finite_is_refused() -> None:
    chosen = family(Framework.SKLEARN, "ridge")
    diverged = construct(chosen, Task.REGRESSION, {}, seed=1, threads=1)
    diverged.fit(np.array([[0.0], [1.0]]), np.array([0.0, 1e300]))
    evaluator = Evaluator(chosen, None)
    assert evaluator.finite_outputs(diverged, np.array([[1.0]])).shape == (1, 1)
    with pytest.raises(InvalidParameters, match="not finite"):
        evaluator.evaluate(diverged, np.array([[1e9]]), np.array([1.0]))


def test_binary_metrics_are_of_the_positive_class_and_the_threshold() -> None:
    score = np.array([0.9, 0.4, 0.6, 0.2])
    both = np.stack([1 - score, score], axis=1)
    y = np.array([1, 1, 0, 0])
    usual = classification_metrics(y, both, Classes(("a", "b")))
    assert (usual["precision"], usual["recall"]) == (0.5, 0.5)
    eager = classification_metrics(y, both, Classes(("a", "b"), threshold=0.3))
    assert (eager["precision"], eager["recall"]) == (pytest.approx(2 / 3), 1.0)
    other = classification_metrics(y, both, Classes(("a", "b"), positive=0, threshold=0.7))
    assert (other["precision"], other["recall"]) == (1.0, 0.5)


def test_curves_have_at_most_200_points_and_keep_their_ends() -> None:
    score = RANDOM.random(5_000)
    y = (RANDOM.random(5_000) < score).astype(np.int64)
    curves = classification_curves(y, np.stack([1 - score, score], axis=1), Classes(("a", "b")))
    roc = curves["roc"]
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert all(len(curve.x) == len(curve.y) <= MOST_POINTS for curve in curves.values())
    assert len(roc.thresholds) == len(roc.x)
    residuals = regression_curves(score, score + 1)["residuals"]
    assert len(residuals.x) == MOST_POINTS
    assert residuals.y == pytest.approx([-1.0] * MOST_POINTS)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (1.0, ColumnKind.BOOLEAN, "true"),
        (3.0, ColumnKind.INTEGER, "3"),
        (2.5, ColumnKind.NUMBER, "2.5"),
        ("x", ColumnKind.STRING, "x"),
        (1_714_521_600_000.0, ColumnKind.DATE, "2024-05-01"),
        (1_714_521_600_000.0, ColumnKind.TIMESTAMP, "2024-05-01T00:00:00+00:00"),
    ],
)
def test_classes_are_named_as_a_person_writes_them(value: Any, kind: ColumnKind, text: str) -> None:
    assert label(value, kind) == text
