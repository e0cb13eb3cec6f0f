"""Every engine repeats the library that trained the model, on rows it never saw, missing values included."""

from typing import Any

import numpy as np
import pytest
from mill_pack import EngineRefused, InvalidPackage, build_engine, check_engine, choose_engine, passes
from mill_pack.engines import EngineKind, EnginePayload, Shape, linear_payload, load_engine
from mill_pack.engines.base import Threaded

WIDTH = 6
ALL = ["binary", "multiclass", "regression"]
OWN: dict[str, EngineKind] = {
    "logistic": "linear",
    "mlp": "mlp",
    "mlp logistic": "mlp",
    "knn": "skops",
    "forest": "forest",
    "extra trees": "forest",
    "hist": "forest",
    "xgboost": "forest",
    "lightgbm": "forest",
}
LIBRARY: dict[str, EngineKind] = {
    "forest": "skops",
    "extra trees": "skops",
    "hist": "skops",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
}

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")


@pytest.mark.parametrize("task", ALL)
@pytest.mark.parametrize("algorithm", OWN)
def test_the_chosen_engine_is_the_fastest_and_repeats_the_library(fitted: Any, algorithm: str, task: str) -> None:
    model = fitted(algorithm, task)
    payload, check = choose_engine(
        model.framework, algorithm, model.estimator, WIDTH, model.classes, model.reference, model.holdout
    )
    assert payload.kind == check.engine == OWN[algorithm]
    assert check.rows_compared == len(model.holdout)
    assert check.classes_differing == 0
    assert check.largest_difference <= check.tolerance


@pytest.mark.parametrize("task", ALL)
@pytest.mark.parametrize("algorithm", LIBRARY)
def test_the_library_engine_repeats_it_too(fitted: Any, algorithm: str, task: str) -> None:
    model = fitted(algorithm, task)
    kind = LIBRARY[algorithm]
    payload = build_engine(model.framework, algorithm, model.estimator, WIDTH, model.classes, kind)
    check = check_engine(payload, model.reference, model.holdout, model.classes)
    assert payload.kind == kind
    assert passes(check)
    assert check.largest_difference == 0.0


@pytest.mark.parametrize(("algorithm", "task"), [("ridge", "regression"), ("knn by distance", "multiclass")])
def test_relatives_are_served_alike(fitted: Any, algorithm: str, task: str) -> None:
    model = fitted(algorithm, task)
    payload, check = choose_engine(
        model.framework, algorithm, model.estimator, WIDTH, model.classes, model.reference, model.holdout
    )
    assert payload.kind == {"ridge": "linear", "knn by distance": "skops"}[algorithm]
    assert passes(check)


@pytest.mark.parametrize("algorithm", ["logistic", "forest", "xgboost", "lightgbm"])
def test_one_row_gets_what_it_gets_among_others(fitted: Any, algorithm: str) -> None:
    model = fitted(algorithm, "binary")
    payload = build_engine(model.framework, algorithm, model.estimator, WIDTH, model.classes)
    engine = load_engine(payload.kind, payload.files, Shape(WIDTH, 2, is_classifier=True))
    together = engine.outputs(model.holdout)
    singles = np.array([engine.outputs_one(row) for row in model.holdout])
    assert together.tobytes() == singles.tobytes()


def test_an_engine_that_answers_differently_is_not_published(fitted: Any) -> None:
    model = fitted("logistic", "binary")

    def other_library(matrix: Any) -> Any:
        return model.reference(matrix)[:, ::-1]

    with pytest.raises(EngineRefused, match="No engine repeats"):
        choose_engine("scikit-learn", "logistic", model.estimator, WIDTH, model.classes, other_library, model.holdout)


def test_the_check_counts_classes_and_sees_missing_answers(fitted: Any) -> None:
    model = fitted("logistic", "binary")
    payload = build_engine("scikit-learn", "logistic", model.estimator, WIDTH, model.classes)
    flipped = check_engine(payload, lambda matrix: 1 - model.reference(matrix), model.holdout, model.classes)
    assert flipped.classes_differing == len(model.holdout)
    nothing = check_engine(payload, lambda matrix: model.reference(matrix) * np.nan, model.holdout, model.classes)
    assert nothing.largest_difference == 1e308
    assert not passes(nothing)


def test_an_estimator_of_another_library_is_refused(fitted: Any) -> None:
    model = fitted("logistic", "binary")
    kinds: tuple[EngineKind, ...] = ("forest", "mlp", "xgboost", "lightgbm")
    for kind in kinds:
        with pytest.raises(EngineRefused):
            build_engine("scikit-learn", "logistic", model.estimator, WIDTH, model.classes, kind)


@pytest.mark.parametrize("algorithm", ["logistic", "mlp", "knn", "forest", "xgboost", "lightgbm"])
def test_a_payload_of_other_width_or_classes_is_refused(fitted: Any, algorithm: str) -> None:
    model = fitted(algorithm, "binary")
    kinds: tuple[EngineKind, ...] = (OWN[algorithm], LIBRARY.get(algorithm, OWN[algorithm]))
    for kind in kinds:
        payload = build_engine(model.framework, algorithm, model.estimator, WIDTH, model.classes, kind)
        for shape in (Shape(WIDTH + 1, 2, is_classifier=True), Shape(WIDTH, 5, is_classifier=True)):
            with pytest.raises(InvalidPackage):
                load_engine(kind, payload.files, shape)


@pytest.mark.parametrize("algorithm", ["logistic", "mlp", "knn", "xgboost", "lightgbm", "forest"])
def test_a_payload_cut_short_is_refused(fitted: Any, algorithm: str) -> None:
    model = fitted(algorithm, "binary")
    payload = build_engine(model.framework, algorithm, model.estimator, WIDTH, model.classes)
    ((name, content),) = payload.files.items()
    for keep in (0, 3, len(content) // 2):
        with pytest.raises(InvalidPackage):
            load_engine(payload.kind, {name: content[:keep]}, Shape(WIDTH, 2, is_classifier=True))


def test_numbers_that_are_not_finite_are_refused_in_weights() -> None:
    payload = linear_payload(np.full((1, 2), np.nan), np.zeros(1))
    with pytest.raises(InvalidPackage, match="not finite"):
        load_engine("linear", payload.files, Shape(2, 1, is_classifier=False))


@pytest.mark.parametrize("kind", ["pickle", "joblib", "../linear", ""])
def test_there_is_no_other_engine(kind: str) -> None:
    with pytest.raises(InvalidPackage):
        load_engine(kind, {}, Shape(2, 1, is_classifier=False))


def test_the_same_estimator_gives_the_same_payload(fitted: Any) -> None:
    for algorithm in ("knn", "forest", "lightgbm", "xgboost", "mlp", "logistic"):
        model = fitted(algorithm, "binary")

        def built(model: Any = model) -> EnginePayload:
            return build_engine(model.framework, model.algorithm, model.estimator, WIDTH, model.classes)

        assert built() == built()


@pytest.mark.parametrize("task", ALL)
def test_a_forest_shared_among_threads_gives_the_same_bits(fitted: Any, task: str) -> None:
    model = fitted("forest", task)
    payload = build_engine(model.framework, "forest", model.estimator, WIDTH, model.classes, "forest")
    outputs = max(len(model.classes), 1)
    engine = load_engine(payload.kind, payload.files, Shape(WIDTH, outputs, is_classifier=bool(model.classes)))
    assert isinstance(engine, Threaded)
    rows = np.random.default_rng(3).normal(size=(5000, WIDTH))
    assert engine.outputs_by(rows, 3).tobytes() == engine.outputs(rows).tobytes()
