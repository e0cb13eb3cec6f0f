"""Every algorithm for every task it can do, on real tables: trained, packed, opened again, equal to the bare library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.algorithms import Algorithm, catalogue
from mill_contracts.recipe import Framework, Recipe, Task
from mill_contracts.training import TrainingReport
from mill_pack import Package
from mill_trainer.train.estimators import construct, family
from mill_trainer.train.fitting import predictions, probabilities
from mill_trainer.train.splitting import split_holdout
from mill_trainer.train.table import read_table
from mill_trainer.train.target import read_target

TrainOn = Callable[..., tuple[TrainingReport, Package]]
Tables = Callable[..., Path]

CLASSIFIERS = [one for one in catalogue().algorithms if one.task is Task.CLASSIFICATION]
REGRESSORS = [one for one in catalogue().algorithms if one.task is Task.REGRESSION]
QUICK: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 20},
    "extra_trees": {"n_estimators": 20},
    "hist_gradient_boosting": {"max_iter": 20},
    "gradient_boosting": {"n_estimators": 20},
    "mlp": {"hidden_layer_sizes": [16], "max_iter": 50},
}


def name_of(algorithm: Algorithm) -> str:
    return f"{algorithm.framework.value}-{algorithm.name}"


def recipe_for(algorithm: Algorithm, target: str, **more: Any) -> dict[str, Any]:
    return {
        "task": algorithm.task,
        "framework": algorithm.framework,
        "algorithm": algorithm.name,
        "target": target,
        "parameters": QUICK.get(algorithm.name, {}),
        **more,
    }


def largest_difference_from_library(path: Path, package: Package, recipe: Recipe, algorithm: Algorithm) -> float:
    """Fit the bare library on the same encoded rows and compare both on the hold-out."""
    table = read_table(path)
    target = read_target(table, recipe)
    table = table.take(target.rows)
    split = split_holdout(table, target, recipe)
    chosen = family(algorithm.framework, algorithm.name)
    estimator = construct(chosen, recipe.task, algorithm.canonical(recipe.parameters), recipe.seed, threads=1)
    encode = package.encoder.transform
    estimator.fit(encode(table.take(split.training).columns), target.y[split.training])
    holdout = table.take(split.holdout).columns
    ours = package.predict_columns(holdout)
    if ours.probabilities is None:
        expected = predictions(estimator, encode(holdout))
        return float(np.max(np.abs(np.asarray(ours.values) - expected) / np.maximum(1.0, np.abs(expected))))
    return float(np.max(np.abs(ours.probabilities - probabilities(estimator, encode(holdout)))))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", CLASSIFIERS, ids=name_of)
def test_a_binary_classifier_is_served_as_its_library_predicts(
    algorithm: Algorithm, tables: Tables, train_on: TrainOn
) -> None:
    path = tables("titanic", 400)
    recipe = recipe_for(algorithm, "survived", exclude=("alive",))
    report, package = train_on(path, **recipe)
    assert largest_difference_from_library(path, package, Recipe.model_validate(recipe), algorithm) <= 1e-6
    assert report.classes == ("0", "1")
    assert report.metrics["roc_auc"] > 0.7
    assert set(report.curves) == {"roc", "precision_recall", "calibration"}
    assert report.confusion is not None
    assert sum(map(sum, report.confusion.counts)) == report.holdout_rows
    assert sum(one.importance for one in report.importance) == pytest.approx(1.0)
    assert {one.feature for one in report.importance} == set(report.features)
    assert report.engine_check.classes_differing == 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", CLASSIFIERS, ids=name_of)
def test_a_classifier_of_five_classes_is_served_as_its_library_predicts(
    algorithm: Algorithm, tables: Tables, train_on: TrainOn
) -> None:
    path = tables("diamonds", 500)
    recipe = recipe_for(algorithm, "cut")
    report, package = train_on(path, **recipe)
    assert largest_difference_from_library(path, package, Recipe.model_validate(recipe), algorithm) <= 1e-6
    assert len(report.classes) == 5
    assert report.metrics["accuracy"] > 0.35
    assert report.curves == {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", REGRESSORS, ids=name_of)
def test_a_regression_is_served_as_its_library_predicts(
    algorithm: Algorithm, tables: Tables, train_on: TrainOn
) -> None:
    path = tables("diamonds", 500)
    recipe = recipe_for(algorithm, "price")
    report, package = train_on(path, **recipe)
    assert largest_difference_from_library(path, package, Recipe.model_validate(recipe), algorithm) <= 1e-6
    assert set(report.metrics) == {"rmse", "mae", "r2", "median_absolute_error"}
    assert algorithm.name == "mlp" or report.metrics["r2"] > 0.8
    assert set(report.curves) == {"residuals", "predicted_actual"}
    assert all(len(curve.x) <= 200 for curve in report.curves.values())


@pytest.mark.slow
@pytest.mark.parametrize("framework", [Framework.XGBOOST, Framework.LIGHTGBM])
def test_the_census_table_reaches_an_auc_of_092_with_the_librarys_defaults(
    framework: Framework, tables: Tables, train_on: TrainOn
) -> None:
    report, package = train_on(
        tables("adult"),
        task=Task.CLASSIFICATION,
        framework=framework,
        algorithm="gradient_boosting",
        target="income",
        threads=2,
    )
    assert report.metrics["roc_auc"] >= 0.92
    assert report.training_rows + report.holdout_rows == 48_842
    assert report.engine_check.engine == "forest"
    assert all(len(curve.x) <= 200 for curve in report.curves.values())
    assert package.predict_one(dict(package.manifest.golden.rows[0])).value in ("<=50K", ">50K")
