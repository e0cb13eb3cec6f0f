"""The four models under test, on the census table: trained once, then read from a folder of the benchmark's own."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportMissingModuleSource=false
# XGBoost, LightGBM, scikit-learn and skops are partly typed; nothing outside this file sees them.

import csv
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np
import skops.io
import xgboost
from mill_forest import Forest, from_sklearn, read_lightgbm, read_xgboost
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

Floats = NDArray[np.float64]
TABLE: Final = Path(__file__).parents[2] / "examples" / "data" / "adult.csv"
CACHE: Final = Path(tempfile.gettempdir()) / f"modelmill-benchmark-engines-{os.getuid()}"
WORDS: Final = {
    "A2": "XGBoost, 500 trees of depth 8",
    "C2": "LightGBM, 500 trees of 127 leaves",
    "B": "random forest, 100 trees of any depth",
    "B2": "random forest, 500 trees of depth 10",
}


@dataclass(frozen=True)
class Model:
    """A trained model and our reading of it; `predict(rows, threads)` is the library's own on an ndarray."""

    name: str
    library: str
    forest: Forest
    predict: Callable[[Floats, int], Floats]
    file: Path
    estimator: Any


def census(path: Path = TABLE) -> tuple[Floats, NDArray[np.int64]]:
    """The table as numbers: texts become their place in the alphabet, empty cells NaN; and who earns over 50K."""
    with path.open(newline="") as file:
        names, *rows = csv.reader(file)
    columns = [[row[at].strip() for row in rows] for at in range(len(names))]
    target = np.array(columns.pop(names.index("income"))) == ">50K"
    return np.stack([_numbers(column) for column in columns], axis=1), target.astype(np.int64)


def _numbers(column: list[str]) -> Floats:
    try:
        return np.array([float(cell) if cell else np.nan for cell in column])
    except ValueError:
        place = {word: float(at) for at, word in enumerate(sorted({cell for cell in column if cell}))}
        return np.array([place.get(cell, np.nan) for cell in column])


def many_rows(table: Floats, count: int, seed: int = 1) -> Floats:
    """Rows of the table with three cells in ten taken from other rows, so that no tree has seen them."""
    rng = np.random.default_rng(seed)
    rows = table[rng.integers(0, len(table), count)]
    for column in range(rows.shape[1]):
        where = np.flatnonzero(rng.random(count) < 0.3)
        rows[where, column] = table[rng.integers(0, len(table), len(where)), column]
    return rows


def build(name: str, *, small: bool = False, cache: Path = CACHE) -> Model:
    """The model called `name`, from the cache or trained; `small` ones have a tenth of the trees."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if cache.stat().st_uid != os.getuid() or cache.stat().st_mode & 0o022:
        raise SystemExit(f"{cache} is not this user's alone; a model in it could be anyone's")
    return {"A2": _xgboost, "C2": _lightgbm, "B": _forest, "B2": _forest}[name](name, small, cache)


def _xgboost(name: str, small: bool, cache: Path) -> Model:
    file = cache / f"{name}{'-small' if small else ''}-xgboost-{xgboost.__version__}.ubj"
    model = xgboost.XGBClassifier(n_estimators=50 if small else 500, max_depth=8, n_jobs=2, random_state=0)
    if not file.exists():
        model.fit(*census()).get_booster().save_model(_partial(file))
        _partial(file).replace(file)
    model.load_model(file)

    def predict(rows: Floats, threads: int) -> Floats:
        model.set_params(n_jobs=threads)
        return model.predict_proba(rows)

    return Model(name, "XGBoost", read_xgboost(file.read_bytes()), predict, file, model)


def _lightgbm(name: str, small: bool, cache: Path) -> Model:
    file = cache / f"{name}{'-small' if small else ''}-lightgbm-{lightgbm.__version__}.txt"
    if not file.exists():
        options: dict[str, Any] = {"num_leaves": 127, "n_jobs": 2, "verbose": -1, "random_state": 0}
        model = lightgbm.LGBMClassifier(n_estimators=50 if small else 500, **options).fit(*census())
        model.booster_.save_model(_partial(file))
        _partial(file).replace(file)
    booster = lightgbm.Booster(model_file=file)

    def predict(rows: Floats, threads: int) -> Floats:
        return np.asarray(booster.predict(rows, num_threads=threads))

    return Model(name, "LightGBM", read_lightgbm(file.read_text()), predict, file, booster)


def _forest(name: str, small: bool, cache: Path) -> Model:
    import sklearn

    options: dict[str, Any] = {"n_estimators": 100} if name == "B" else {"n_estimators": 500, "max_depth": 10}
    options["n_estimators"] //= 10 if small else 1
    file = cache / f"{name}{'-small' if small else ''}-scikit-learn-{sklearn.__version__}.skops"
    if not file.exists():
        model = RandomForestClassifier(n_jobs=2, random_state=0, **options).fit(*census())
        skops.io.dump(model, _partial(file))
        _partial(file).replace(file)
    # skops does not trust a tree's node numbers; this file was written above, in a folder nobody else writes to
    model = skops.io.load(file, trusted=["sklearn.tree._tree.Tree"])

    def predict(rows: Floats, threads: int) -> Floats:
        model.n_jobs = threads
        return model.predict_proba(rows)

    return Model(name, "scikit-learn", from_sklearn(model), predict, file, model)


def _partial(file: Path) -> Path:
    return file.with_name(f"part-{file.name}")
