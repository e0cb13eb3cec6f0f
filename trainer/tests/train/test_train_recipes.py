"""What a recipe may ask for: kinds of columns, derived features, labels, thresholds, folds, time, secrecy, repeatability."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.training import TrainingReport
from mill_pack import Package
from mill_trainer.reporting import SilentReport

TrainOn = Callable[..., tuple[TrainingReport, Package]]
Tables = Callable[..., Path]
TableOf = Callable[[dict[str, Any]], Path]

TITANIC: dict[str, Any] = {
    "task": "classification",
    "framework": "xgboost",
    "algorithm": "gradient_boosting",
    "target": "survived",
    "exclude": ("alive",),
    "parameters": {"n_estimators": 20},
}
DIAMONDS: dict[str, Any] = {
    "task": "regression",
    "framework": "lightgbm",
    "algorithm": "gradient_boosting",
    "target": "price",
    "parameters": {"n_estimators": 20},
}
ALGORITHMS = [
    ("scikit-learn", "logistic_regression"),
    ("scikit-learn", "random_forest"),
    ("scikit-learn", "hist_gradient_boosting"),
    ("scikit-learn", "knn"),
    ("xgboost", "gradient_boosting"),
    ("lightgbm", "gradient_boosting"),
]


def every_kind_of_column(rows: int = 200) -> dict[str, Any]:
    random = np.random.default_rng(7)
    number = random.normal(size=rows)
    start = datetime(2023, 1, 1, 12, tzinfo=UTC)
    return {
        "number": [None if index % 9 == 0 else float(value) for index, value in enumerate(number)],
        "integer": [None if index % 11 == 0 else index % 7 for index in range(rows)],
        "flag": [None if index % 13 == 0 else index % 3 == 0 for index in range(rows)],
        "text": [None if index % 17 == 0 else "abc"[index % 3] for index in range(rows)],
        "day": [None if index % 19 == 0 else date(2024, 1, 1) + timedelta(days=index) for index in range(rows)],
        "moment": [start + timedelta(hours=5 * index) for index in range(rows)],
        "nothing": [None] * rows,
        "answer": ["yes" if value > 0 else "no" for value in number],
    }


@pytest.mark.parametrize(("framework", "algorithm"), ALGORITHMS)
def test_every_kind_of_column_is_learnt_from_with_and_without_values(
    framework: str, algorithm: str, table_of: TableOf, train_on: TrainOn
) -> None:
    path = table_of(every_kind_of_column())
    report, package = train_on(path, task="classification", framework=framework, algorithm=algorithm, target="answer")
    assert report.features == ("number", "integer", "flag", "text", "day", "moment")
    assert "all-missing-column" in {warning.code for warning in report.warnings}
    prediction = package.predict_one(
        {
            "number": 2.0,
            "integer": None,
            "flag": True,
            "text": "a",
            "day": "2024-02-01",
            "moment": "2023-01-05T07:00:00Z",
        }
    )
    assert prediction.value == "yes"


@pytest.mark.parametrize(("framework", "algorithm"), ALGORITHMS)
def test_a_gap_that_only_the_hold_out_shows_is_no_obstacle(
    framework: str, algorithm: str, table_of: TableOf, train_on: TrainOn
) -> None:
    columns = every_kind_of_column()
    rows = len(columns["moment"])
    for name in ("number", "text"):
        known = [value if value is not None else columns[name][1] for value in columns[name]]
        columns[name] = [*known[: rows - 2], None, None]
    columns["answer"] = ["yes" if value > 0 else "no" for value in np.random.default_rng(7).normal(size=rows)]
    report, package = train_on(
        table_of(columns),
        task="classification",
        framework=framework,
        algorithm=algorithm,
        target="answer",
        validation={"time_column": "moment"},
    )
    assert report.holdout_rows == 40
    assert all(spec.nullable for spec in package.signature.features if spec.name in ("number", "text"))


def test_derived_features_are_computed_alike_in_the_package(tables: Tables, train_on: TrainOn) -> None:
    derived = ({"name": "volume", "expression": "x * y * z"},)
    report, package = train_on(
        tables("diamonds", 500), **DIAMONDS, features=("cut", "color"), preprocessing={"derived": derived}
    )
    assert set(report.features) == {"cut", "color", "x", "y", "z"}
    weights = {one.feature: one.importance for one in report.importance}
    assert weights["x"] + weights["y"] + weights["z"] > 0.8
    small, large = (
        package.predict_one({"cut": "Ideal", "color": "E", "x": side, "y": side, "z": side}).value
        for side in (4.0, 8.0)
    )
    assert float(small) < float(large)


def test_classes_are_shown_under_their_labels_and_decided_by_the_threshold(tables: Tables, train_on: TrainOn) -> None:
    labels = {"0": "died", "1": "lived"}
    wanted = {
        "class_labels": labels,
        "positive_class": "0",
        "decision_threshold": 0.1,
        "low_confidence": {"below": 0.6},
    }
    report, package = train_on(tables("titanic"), **TITANIC, **wanted)
    plain, _ = train_on(tables("titanic"), **TITANIC, positive_class="0", out="plain")
    assert report.metrics["recall"] > plain.metrics["recall"]
    assert report.metrics["roc_auc"] == plain.metrics["roc_auc"]
    assert report.confusion is not None
    predicted = package.predict_rows([dict(row) for row in package.manifest.golden.rows])
    assert set(predicted.values) <= {"died", "lived"}
    assert predicted.probabilities is not None
    died = predicted.probabilities[:, predicted.labels.index("died")]
    assert [value == "died" for value in predicted.values] == (died >= 0.1).tolist()


def test_cross_validation_gives_a_figure_for_each_fold(tables: Tables, train_on: TrainOn) -> None:
    report, _ = train_on(tables("titanic"), **TITANIC, validation={"method": "cross_validation", "folds": 3})
    assert set(report.cross_validation) == set(report.metrics)
    assert all(len(values) == 3 for values in report.cross_validation.values())
    assert np.mean(report.cross_validation["roc_auc"]) > 0.8


def test_over_time_the_latest_rows_are_held_out(table_of: TableOf, train_on: TrainOn) -> None:
    columns = every_kind_of_column()
    columns = {name: values[::-1] for name, values in columns.items()}
    rules = {"time_column": "moment", "method": "cross_validation", "folds": 4}
    report, package = train_on(
        table_of(columns),
        task="classification",
        framework="xgboost",
        algorithm="xgboost",
        target="answer",
        validation=rules,
    )
    moments = [datetime.fromisoformat(str(row["moment"])) for row in package.manifest.golden.rows]
    assert min(moments) >= datetime(2023, 1, 1, 12, tzinfo=UTC) + timedelta(hours=5 * 160)
    assert len(report.cross_validation["accuracy"]) == 3


def test_class_weights_are_given_by_label(tables: Tables, train_on: TrainOn) -> None:
    forest = {**TITANIC, "framework": "scikit-learn", "algorithm": "random_forest"}
    weighted = {**forest, "parameters": {"n_estimators": 20, "max_depth": 3, "class_weight": {"1": 20.0}}}
    plain = {**forest, "parameters": {"n_estimators": 20, "max_depth": 3}}
    heavy, _ = train_on(tables("titanic"), **weighted)
    light, _ = train_on(tables("titanic"), **plain, out="plain")
    assert heavy.metrics["recall"] > light.metrics["recall"]


def test_the_golden_rows_of_sensitive_data_are_made_up(tables: Tables, train_on: TrainOn) -> None:
    open_data, shown = train_on(tables("titanic"), **TITANIC)
    hidden_data, hidden = train_on(tables("titanic"), **TITANIC, sensitive=True, out="hidden")
    assert len(shown.manifest.golden.rows) >= 15
    assert len(hidden.manifest.golden.rows) == 20
    assert not [row for row in hidden.manifest.golden.rows if row in shown.manifest.golden.rows]
    assert (open_data.lineage["golden_rows"], hidden_data.lineage["golden_rows"]) == ("hold-out", "synthetic")


@pytest.mark.parametrize(("framework", "algorithm"), ALGORITHMS)
def test_the_same_recipe_data_and_seed_give_the_same_model(
    framework: str, algorithm: str, tables: Tables, train_on: TrainOn
) -> None:
    recipe: dict[str, Any] = {**TITANIC, "framework": framework, "algorithm": algorithm, "threads": 2}
    recipe |= {"parameters": {}}
    first_report, first = train_on(tables("titanic", 300), **recipe)
    again_report, again = train_on(tables("titanic", 300), **recipe, out="again")
    other_report, _ = train_on(tables("titanic", 300), **recipe, seed=7, out="other")
    assert first.manifest.engine.files == again.manifest.engine.files
    assert first.manifest.encoder == again.manifest.encoder
    assert first.manifest.golden == again.manifest.golden
    assert first_report.metrics == again_report.metrics != other_report.metrics


def test_rows_without_a_target_are_left_out_and_counted(tables: Tables, train_on: TrainOn) -> None:
    report, _ = train_on(tables("titanic"), **{**TITANIC, "target": "deck"})
    assert report.training_rows + report.holdout_rows == 203
    (warning,) = [one for one in report.warnings if one.code == "target-missing-rows"]
    assert "688 rows" in warning.detail


def test_a_column_of_infinite_values_can_be_left_out(table_of: TableOf, train_on: TrainOn) -> None:
    columns = {**every_kind_of_column(), "odd": [float("inf"), *[1.0] * 199]}
    report, _ = train_on(table_of(columns), **{**TITANIC, "target": "answer", "exclude": ("odd",)})
    assert "odd" not in report.features


def test_columns_like_identifiers_are_named(table_of: TableOf, train_on: TrainOn) -> None:
    columns = {**every_kind_of_column(), "id": [f"row-{index}" for index in range(200)]}
    report, _ = train_on(table_of(columns), **{**TITANIC, "target": "answer", "exclude": ()})
    assert ("identifier-like-column", "id") in {(one.code, one.column) for one in report.warnings}


def test_the_report_says_what_the_model_was_made_from_and_what_it_costs(tables: Tables, train_on: TrainOn) -> None:
    report, package = train_on(tables("titanic"), **TITANIC)
    assert report.lineage["dataset_sha256"] == "0" * 64
    assert report.lineage["libraries"]["xgboost-cpu"]
    assert report.cost.microseconds_per_row > 0
    assert report.cost.package_bytes > 1_000
    assert package.manifest.cost is not None
    assert package.manifest.metrics == report.metrics
    assert [one.name for one in package.manifest.reference] == list(report.features)


class Listener(SilentReport):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.fractions: list[float] = []
        self.units: set[str | None] = set()

    def stage(self, stage: str) -> None:
        self.stages.append(stage)

    def progress(
        self, fraction: float, done: int | None = None, total: int | None = None, unit: str | None = None
    ) -> None:
        self.fractions.append(fraction)
        self.units.add(unit)


@pytest.mark.parametrize(
    ("framework", "algorithm", "unit"),
    [
        ("xgboost", "gradient_boosting", "rounds"),
        ("lightgbm", "gradient_boosting", "rounds"),
        ("scikit-learn", "random_forest", "trees"),
        ("scikit-learn", "mlp", "epochs"),
    ],
)
def test_progress_is_what_the_library_reports_and_never_goes_back(
    framework: str, algorithm: str, unit: str, tables: Tables, train_on: TrainOn
) -> None:
    listener = Listener()
    quick = {"max_iter": 20} if algorithm == "mlp" else {"n_estimators": 20}
    recipe = {**TITANIC, "framework": framework, "algorithm": algorithm, "parameters": quick}
    train_on(tables("titanic", 300), listener, **recipe, validation={"method": "cross_validation", "folds": 2})
    assert listener.stages == ["reading", "encoding", "cross-validating", "fitting", "evaluating", "packing"]
    assert unit in listener.units
    assert listener.fractions == sorted(listener.fractions)
    assert listener.fractions[-1] == 1.0
