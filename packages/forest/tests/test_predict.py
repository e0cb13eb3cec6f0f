# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingModuleSource=false
# (the libraries that grow these forests are untyped)
"""All layouts give the same bits, threads change nothing, and one row is fast."""

import threading
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from mill_forest import Forest, Predictor, from_sklearn, read_lightgbm, read_xgboost
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from threadpoolctl import threadpool_limits

Table = Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]


def _grown(table: Table) -> dict[str, Forest]:
    x, score = table(0)
    y = np.digitize(score, [0.0, 2.0])
    deep_x, deep_score = table(1, 9_000)
    quiet: dict[str, Any] = {"n_jobs": 1, "n_estimators": 30, "random_state": 0}
    boosted = xgb.XGBClassifier(**quiet).fit(x, y)
    light = lgb.LGBMClassifier(**quiet, verbose=-1).fit(x, y)
    options: dict[str, Any] = quiet | {"n_estimators": 8, "max_features": 1}
    forest = RandomForestClassifier(**options).fit(deep_x, np.digitize(deep_score, [0.0, 2.0]))
    coded = lgb.LGBMClassifier(**quiet, verbose=-1, cat_smooth=0, min_data_per_group=1, max_cat_to_onehot=1)
    coded.fit(x, y, categorical_feature=[4])
    columns: dict[str, Any] = {"categorical_features": [4]}
    histogram = HistGradientBoostingClassifier(max_iter=20, **columns).fit(x, y)
    return {
        "lightgbm with categories": read_lightgbm(coded.booster_.model_to_string()),
        "histogram boosting with categories": from_sklearn(histogram),
        "xgboost": read_xgboost(bytes(boosted.get_booster().save_raw("ubj"))),
        "lightgbm": read_lightgbm(light.booster_.model_to_string()),
        "random forest": from_sklearn(forest),
    }


@pytest.mark.parametrize("code", [253, 254, 255, 300])
def test_codes_too_large_for_a_byte_are_walked(code: int, table: Table) -> None:
    x, score = table(2)
    x[:, 4] = np.where(x[:, 4] > 5, code, 3)
    x[::9, 4] = np.nan
    options: dict[str, Any] = {"n_estimators": 5, "n_jobs": 1, "verbose": -1, "cat_smooth": 0, "min_data_per_group": 1}
    model = lgb.LGBMRegressor(**options).fit(x, score + (x[:, 4] == code) * 9, categorical_feature=[4])
    predictor = Predictor(read_lightgbm(model.booster_.model_to_string()))
    assert predictor.layout == ("blend" if code < 254 else "walk")
    x[::7, 4] = code + 1
    assert np.array_equal(predictor.predict(x)[:, 0], np.asarray(model.predict(x)))


@pytest.fixture(scope="module")
def forests(table: Table) -> dict[str, Forest]:
    with threadpool_limits(1):
        return _grown(table)


PLAIN = ["xgboost", "lightgbm", "random forest"]
NAMES = [*PLAIN, "lightgbm with categories", "histogram boosting with categories"]


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_gives_the_same_bits(
    name: str, forests: dict[str, Forest], table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    forest = forests[name]
    rows = edge_rows(forest, table(0)[0])
    reference = Predictor(forest, layout="walk")
    expected, margins = reference.predict(rows), reference.raw(rows)
    assert reference.layout == "walk"
    chosen: set[str] = set()
    for layout in ("lockstep", "phased", "blend"):
        for quick in (True, False):
            predictor = Predictor(forest, layout=layout, avx2=quick, crowned=quick)
            chosen.add(predictor.layout)
            assert differences(predictor.predict(rows), expected) == 0
            assert differences(predictor.raw(rows), margins) == 0
    assert chosen == {"lockstep" if name in PLAIN else "walk", "phased" if name == "random forest" else "blend"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 256, 257, 8193, 20_000])
def test_blocks_of_any_size_and_threads_give_the_same_bits(
    name: str, count: int, forests: dict[str, Forest], table: Table, differences: Callable[..., int]
) -> None:
    x = table(0)[0]
    rows = x[np.random.default_rng(1).integers(0, len(x), count)]
    expected = Predictor(forests[name], layout="walk").predict(rows)
    assert expected.shape == (count, 3)
    for layout in ("lockstep", "blend"):
        predictor = Predictor(forests[name], layout=layout)
        for threads in (1, 2, 3, 1000):
            assert differences(predictor.predict(rows, threads), expected) == 0


@pytest.mark.parametrize("name", NAMES)
def test_one_row_equals_its_row_in_a_block(name: str, forests: dict[str, Forest], table: Table) -> None:
    x = table(0)[0][:300]
    predictor = Predictor(forests[name])
    assert np.array_equal(np.array([predictor.predict_one(row) for row in x]), predictor.predict(x))


def test_one_row_takes_microseconds(forests: dict[str, Forest], table: Table) -> None:
    row = np.ascontiguousarray(table(0)[0][0])
    predictor = Predictor(forests["xgboost"])

    def microseconds() -> float:
        start = time.thread_time()
        for _ in range(2_000):
            predictor.predict_one(row)
        return (time.thread_time() - start) / 2_000 * 1e6

    # 90 trees take about 2 µs; the bound leaves room for a busy machine
    assert min(microseconds() for _ in range(5)) < 20


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_told(name: str, forests: dict[str, Forest]) -> None:
    forest = forests[name]
    # equal leaves are kept once, so a deep forest of classes takes less than its arrays
    assert forest.nbytes / 20 < Predictor(forest).nbytes < 6 * forest.nbytes


@pytest.mark.parametrize(
    "rows", [np.zeros((3, 7)), np.zeros((3, 9)), np.zeros(8), np.zeros((2, 2, 8)), np.zeros((0, 3))]
)
def test_rows_of_another_shape_are_refused(rows: NDArray[np.float64], forests: dict[str, Forest]) -> None:
    with pytest.raises(ValueError, match="8 features"):
        Predictor(forests["xgboost"]).predict(rows)


@pytest.mark.parametrize(
    "row",
    [np.zeros(7), np.zeros(9), np.zeros(8, np.float32), np.zeros(8, np.int64), np.zeros(8, ">f8"), np.zeros(16)[::2]],
)
def test_a_row_of_another_shape_or_type_is_refused(row: Any, forests: dict[str, Forest]) -> None:
    with pytest.raises((ValueError, BufferError)):
        Predictor(forests["xgboost"]).predict_one(row)


def test_other_number_types_and_orders_are_converted(forests: dict[str, Forest]) -> None:
    predictor = Predictor(forests["lightgbm"])
    rows = np.arange(80).reshape(10, 8)
    expected = predictor.predict(rows.astype(np.float64))
    for other in (rows, np.asfortranarray(rows, np.float64), rows.astype(np.float32), rows.astype(">f8")):
        assert np.array_equal(predictor.predict(other), expected)  # pyright: ignore[reportArgumentType]


def test_blocks_run_without_the_gil(forests: dict[str, Forest], table: Table) -> None:
    x = table(0)[0]
    rows = x[np.zeros(200_000, np.int64)]
    predictor = Predictor(forests["random forest"])
    running, ticks = threading.Event(), 0

    def work() -> None:
        running.set()
        predictor.predict(rows)

    worker = threading.Thread(target=work)
    worker.start()
    running.wait(10)
    while worker.is_alive():
        ticks += 1
    worker.join()
    assert ticks > 1_000  # with the GIL held, this thread would have stood still
