"""The catalogue answers without any ML library: which algorithms there are, and what is wrong with a parameter."""

import subprocess
import sys
from typing import Any

import pytest
from mill_contracts.algorithms import Algorithm, UnknownAlgorithm, catalogue
from mill_contracts.recipe import Framework, Task

EXPECTED = {
    (Framework.SKLEARN, Task.CLASSIFICATION): {
        "logistic_regression",
        "random_forest",
        "extra_trees",
        "hist_gradient_boosting",
        "knn",
        "mlp",
    },
    (Framework.SKLEARN, Task.REGRESSION): {
        "linear_regression",
        "ridge",
        "random_forest",
        "extra_trees",
        "hist_gradient_boosting",
        "knn",
        "mlp",
    },
    (Framework.XGBOOST, Task.CLASSIFICATION): {"gradient_boosting"},
    (Framework.XGBOOST, Task.REGRESSION): {"gradient_boosting"},
    (Framework.LIGHTGBM, Task.CLASSIFICATION): {"gradient_boosting"},
    (Framework.LIGHTGBM, Task.REGRESSION): {"gradient_boosting"},
}
XGBOOST = catalogue().algorithm(Framework.XGBOOST, Task.CLASSIFICATION)
FOREST = catalogue().algorithm(Framework.SKLEARN, Task.CLASSIFICATION, "random_forest")


def details(algorithm: Algorithm, **parameters: Any) -> list[str]:
    return [problem.detail for problem in algorithm.check(parameters)]


@pytest.mark.parametrize(("framework", "task"), EXPECTED)
def test_every_framework_has_its_algorithms_and_one_default(framework: Framework, task: Task) -> None:
    known = [one for one in catalogue().algorithms if (one.framework, one.task) == (framework, task)]
    assert {one.name for one in known} == EXPECTED[framework, task]
    assert [one.name for one in known if one.is_default] == [catalogue().algorithm(framework, task).name]


def test_a_booster_also_answers_to_the_name_of_its_library() -> None:
    assert catalogue().algorithm("xgboost", "regression", "xgboost").name == "gradient_boosting"
    assert catalogue().algorithm("lightgbm", "regression", "lightgbm").name == "gradient_boosting"


def test_an_unknown_algorithm_is_refused_naming_the_closest() -> None:
    with pytest.raises(UnknownAlgorithm, match='did you mean "random_forest"') as caught:
        catalogue().algorithm(Framework.SKLEARN, Task.CLASSIFICATION, "RandomForrest")
    assert caught.value.closest == "random_forest"


@pytest.mark.parametrize("algorithm", catalogue().algorithms, ids=lambda one: f"{one.framework}-{one.task}-{one.name}")
def test_every_default_passes_its_own_check(algorithm: Algorithm) -> None:
    assert algorithm.check({name: parameter.default for name, parameter in algorithm.parameters.items()}) == []


def test_an_unknown_parameter_is_refused_naming_the_closest() -> None:
    (problem,) = XGBOOST.check({"n_estimator": 3})
    assert problem.pointer == "/parameters/n_estimator"
    assert 'did you mean "n_estimators"' in problem.detail


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_depth": -1}, "≥ 0"),
        ({"max_depth": 3.5}, "an integer"),
        ({"n_estimators": True}, "an integer"),
        ({"subsample": 0}, "> 0"),
        ({"subsample": float("nan")}, "a number"),
        ({"grow_policy": "leafwise"}, '"lossguide"'),
        ({"learning_rate": "fast"}, "a number"),
        ({"tree_method": ["hist"]}, '"hist"'),
    ],
)
def test_a_wrong_value_is_refused_saying_what_is_accepted(parameters: dict[str, Any], words: str) -> None:
    (detail,) = details(XGBOOST, **parameters)
    assert words in detail


def test_parameters_that_run_code_or_take_threads_cannot_be_set() -> None:
    for name in ("callbacks", "n_jobs", "random_state", "verbosity", "device"):
        (detail,) = details(XGBOOST, **{name: 1})
        assert "cannot be set" in detail
    for dangerous in ("input_model", "forcedsplits_filename", "machines", "output_model"):
        assert details(catalogue().algorithm("lightgbm", "regression"), **{dangerous: "/etc/passwd"})


def test_an_integer_is_measured_by_the_integer_form() -> None:
    assert details(FOREST, min_samples_split=1)
    assert not details(FOREST, min_samples_split=0.5, max_features=0.3, max_depth=None)


def test_a_layer_list_and_class_weights_are_checked_inside() -> None:
    mlp = catalogue().algorithm("scikit-learn", "classification", "mlp")
    assert not details(mlp, hidden_layer_sizes=[64, 32])
    assert details(mlp, hidden_layer_sizes=[64, 0])
    assert details(mlp, hidden_layer_sizes=[])
    assert not details(FOREST, class_weight={"yes": 2.0, "no": 1})
    assert details(FOREST, class_weight={"yes": "heavy"})


def test_a_parameter_is_given_under_one_of_its_names_only() -> None:
    assert XGBOOST.canonical({"eta": 0.1}) == {"learning_rate": 0.1}
    (detail,) = details(XGBOOST, eta=0.1, learning_rate=0.2)
    assert "names of one parameter" in detail


def test_presets_stand_under_what_the_user_says() -> None:
    logistic = catalogue().algorithm("scikit-learn", "classification", "logistic_regression")
    assert logistic.canonical({}) == {"max_iter": 1000}
    assert logistic.canonical({"max_iter": 5, "C": 2.0}) == {"max_iter": 5, "C": 2.0}


def test_parameters_read_as_json_schema() -> None:
    schema = XGBOOST.parameters["learning_rate"].model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert schema["anyOf"] == [{"type": "number", "minimum": 0.0, "maximum": 1.0}]
    assert schema["default"] == 0.3


def test_the_catalogue_needs_no_ml_library() -> None:
    code = "import sys; from mill_contracts.algorithms import catalogue; catalogue(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "sklearn", "xgboost", "lightgbm", "pandas"} & set(loaded)
