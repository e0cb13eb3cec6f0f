# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the libraries that write these models are untyped)
"""Models mangled at random are read or refused by name; nothing else is raised and nothing crashes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

Table = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]
MANGLE = """
import sys
import numpy as np
from mill_forest import ForestError, Predictor, read_lightgbm, read_xgboost
data, kind = open(sys.argv[1], "rb").read(), sys.argv[2]
rng = np.random.default_rng(3)
read = read_lightgbm if kind == "lightgbm" else read_xgboost
scraps = [b"-1", b"99999999999999999999", b"nan", b"inf", b"1e400", b"", b" ", b"=", b"0.5", b"{", b"]", b"\\xff", b"L"]
rows = np.random.default_rng(0).normal(size=(20, 8))
refused = 0
for number in range(2_000):
    mutant = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(mutant)))
        match number % 4:
            case 0:
                mutant[at] = int(rng.integers(0, 256))
            case 1:
                mutant[at : at + int(rng.integers(1, 9))] = scraps[int(rng.integers(0, len(scraps)))]
            case 2:
                mutant[at] = (mutant[at] + int(rng.choice([-1, 1, 128]))) % 256
            case _:
                mutant[at : at + int(rng.integers(1, 200))] = b""
    try:
        predictor = Predictor(read(bytes(mutant)))
    except ForestError:
        refused += 1
        continue
    if predictor.forest.n_features == 8:
        predictor.predict(rows)
        predictor.predict_one(rows[0])
print(refused)
"""


def _models(table: Table) -> dict[str, bytes]:
    x, score = table(0)
    kinds = ["q"] * 4 + ["c"] + ["q"] * 3
    data = xgb.DMatrix(x, score, feature_types=kinds, enable_categorical=True)
    booster = xgb.train({"max_depth": 3, "nthread": 1, "max_cat_to_onehot": 1}, data, 2)
    options = {"num_leaves": 6, "verbose": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 0}
    light = lgb.train(options, lgb.Dataset(x, score, categorical_feature=[4]), 2)
    text: str = light.model_to_string()
    return {
        "ubjson": bytes(booster.save_raw("ubj")),
        "json": bytes(booster.save_raw("json")),
        "lightgbm": text[: text.index("end of trees") + 13].encode(),
    }


@pytest.fixture(scope="module")
def models(table: Table) -> dict[str, bytes]:
    return _models(table)


@pytest.mark.parametrize("kind", ["ubjson", "json", "lightgbm"])
def test_no_mangled_model_crashes_its_reader(kind: str, models: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(models[kind])
    command = [sys.executable, "-W", "error", "-c", MANGLE, str(tmp_path / "model"), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert int(done.stdout) > 300
