"""The three models under test, trained once: as packages for ml-service, in the libraries' own formats for the peers.

Everything lies in a folder of the benchmark's own. The joblib file of B is read by the peers alone, in their environments.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportMissingModuleSource=false
# scikit-learn, XGBoost and LightGBM are partly typed; nothing outside this file sees them.

import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import lightgbm
import numpy as np
import xgboost
from mill_contracts.ids import new_id
from mill_contracts.recipe import Framework, Task
from mill_contracts.tables import ColumnKind
from mill_pack import Encoder, EncoderDocument, FeatureSpec, ManifestDraft, choose_engine, golden_rows, write_package
from mill_pack.encoding.document import CategoricalOutput, NumericOutput
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROWS: Final = 1_000
CENSUS: Final = Path(__file__).parents[2] / "examples" / "data" / "adult.csv"
WORDS: Final = {
    "A": "XGBoost, 200 trees of depth 6, 30 numbers",
    "B": "8 scaled numbers and 4 one-hot strings into a random forest of 100 trees",
    "C": "LightGBM, 200 trees, 30 numbers",
}
_NUMBERS: Final = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
_TEXTS: Final = ("workclass", "marital-status", "occupation", "relationship")

Cell = float | str


@dataclass(frozen=True)
class Model:
    """`rows` are sent to every server; `classes` (places in `labels`) and `probabilities` are the library's answer."""

    name: str
    folder: Path
    features: tuple[str, ...]
    texts: int
    labels: tuple[str, ...]
    rows: list[list[Cell]]
    classes: list[int]
    probabilities: list[list[float]]
    model_id: str
    version_id: str
    engine: str

    @property
    def package(self) -> Path:
        return self.folder / "model.mill"

    @property
    def served_name(self) -> str:
        return f"bench-{self.name.lower()}"

    @property
    def numbers(self) -> int:
        return len(self.features) - self.texts


@dataclass(frozen=True)
class _Trained:
    """`matrix` is what the estimator learnt from; `predict` is the library's own answer to rows."""

    features: tuple[str, ...]
    labels: tuple[str, ...]
    rows: list[list[Cell]]
    encoder: Encoder
    estimator: Any
    framework: Framework
    matrix: NDArray[np.float64]
    predict: Callable[[list[list[Cell]]], NDArray[np.float64]]
    texts: int = 0


def build(name: str, cache: Path) -> Model:
    """The model called `name`: read from `cache`, or trained into it."""
    folder = cache / name
    if not (folder / "model.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(name, folder, {"A": _xgboost, "B": _census, "C": _lightgbm}[name](folder))
    document = json.loads((folder / "model.json").read_text())
    return Model(
        name=name,
        folder=folder,
        features=tuple(document.pop("features")),
        labels=tuple(document.pop("labels")),
        **document,
    )


def _xgboost(folder: Path) -> _Trained:
    table, target = _cancer()
    model = xgboost.XGBClassifier(n_estimators=200, max_depth=6, n_jobs=2, random_state=0).fit(table, target)
    model.save_model(folder / "model.ubj")
    return _of_numbers(model, Framework.XGBOOST, table)


def _lightgbm(folder: Path) -> _Trained:
    table, target = _cancer()
    model = lightgbm.LGBMClassifier(n_estimators=200, n_jobs=2, random_state=0, verbose=-1).fit(table, target)
    model.booster_.save_model(folder / "model.txt")
    joblib.dump(model, folder / "model.joblib")
    return _of_numbers(model, Framework.LIGHTGBM, table)


def _cancer() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    data: Any = load_breast_cancer()
    return data.data.astype(np.float64), data.target


def _of_numbers(model: Any, framework: Framework, table: NDArray[np.float64]) -> _Trained:
    names = tuple(f"feature_{number}" for number in range(table.shape[1]))
    outputs = tuple(NumericOutput(source=name) for name in names)
    features = tuple(FeatureSpec(name=name, kind=ColumnKind.NUMBER, nullable=True) for name in names)
    rows: list[list[Cell]] = _many(table).tolist()
    return _Trained(
        features=names,
        labels=("malignant", "benign"),
        rows=rows,
        encoder=Encoder(EncoderDocument(features=features, outputs=outputs)),
        estimator=model,
        framework=framework,
        matrix=table,
        predict=lambda rows: np.asarray(model.predict_proba(np.array(rows, dtype=np.float64)), dtype=np.float64),
    )


def _many(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows with each cell taken from some row of the table, so that trees are walked in many ways."""
    rng = np.random.default_rng(3)
    places = rng.integers(0, len(table), (ROWS, table.shape[1]))
    return np.take_along_axis(table, places, axis=0)


def _census(folder: Path) -> _Trained:
    numbers, texts, target = _read_census()
    table = np.empty((len(numbers), len(_NUMBERS) + 2 + len(_TEXTS)), dtype=object)
    table[:, : numbers.shape[1]], table[:, numbers.shape[1] :] = numbers, texts
    scaled, hot = list(range(numbers.shape[1])), list(range(numbers.shape[1], table.shape[1]))
    columns = ColumnTransformer(
        [
            ("scale", StandardScaler(), scaled),
            ("one_hot", OneHotEncoder(handle_unknown="ignore", sparse_output=False), hot),
        ]
    )
    forest = RandomForestClassifier(n_estimators=100, n_jobs=2, random_state=0)
    pipeline = Pipeline([("columns", columns), ("forest", forest)]).fit(table, target)
    forest.n_jobs = 1  # a thread pool per request costs more than it saves
    joblib.dump(pipeline, folder / "model.joblib")
    names = (*_NUMBERS, "capital-net", "hours-by-age", *_TEXTS)
    rows: list[list[Cell]] = table[np.random.default_rng(3).integers(0, len(table), ROWS)].tolist()
    return _Trained(
        features=names,
        labels=("<=50K", ">50K"),
        rows=rows,
        encoder=_encoder_of(columns, names, len(scaled)),
        estimator=forest,
        framework=Framework.SKLEARN,
        matrix=np.asarray(columns.transform(table), dtype=np.float64),
        predict=lambda rows: np.asarray(pipeline.predict_proba(np.array(rows, dtype=object)), dtype=np.float64),
        texts=len(hot),
    )


def _read_census() -> tuple[NDArray[np.float64], NDArray[np.object_], NDArray[np.int64]]:
    with CENSUS.open(newline="") as file:
        names, *rows = csv.reader(file)
    column = {name: [row[at].strip() for row in rows] for at, name in enumerate(names)}
    numbers = np.array([[float(cell) for cell in column[name]] for name in _NUMBERS]).T
    net, worked = numbers[:, 3] - numbers[:, 4], numbers[:, 5] / numbers[:, 0]
    texts = np.array([[cell or "unknown" for cell in column[name]] for name in _TEXTS], dtype=object).T
    target = (np.array(column["income"]) == ">50K").astype(np.int64)
    return np.column_stack([numbers, net, worked]), texts, target


def _encoder_of(columns: Any, names: Sequence[str], numbers: int) -> Encoder:
    """Ours with the fitted figures of the ColumnTransformer."""
    scale, hot = columns.named_transformers_["scale"], columns.named_transformers_["one_hot"]
    scaled = [
        NumericOutput(source=name, shift=float(shift), scale=float(by))
        for name, shift, by in zip(names[:numbers], scale.mean_, scale.scale_, strict=True)
    ]
    words = dict(zip(names[numbers:], ([str(word) for word in known] for known in hot.categories_), strict=True))
    coded = [CategoricalOutput(source=name, mode="one_hot", categories=tuple(known)) for name, known in words.items()]
    features = [FeatureSpec(name=name, kind=ColumnKind.NUMBER) for name in names[:numbers]]
    features += [
        FeatureSpec(name=name, kind=ColumnKind.STRING, categories=tuple(known)) for name, known in words.items()
    ]
    return Encoder(EncoderDocument(features=tuple(features), outputs=(*scaled, *coded)))


def columns_of(features: Sequence[str], texts: int, rows: Sequence[Sequence[Cell]]) -> dict[str, NDArray[Any]]:
    numbers = len(features) - texts
    return {
        name: np.array([row[at] for row in rows], dtype=np.float64 if at < numbers else object)
        for at, name in enumerate(features)
    }


def _write(name: str, folder: Path, trained: _Trained) -> None:
    probabilities = trained.predict(trained.rows)
    columns = columns_of(trained.features, trained.texts, trained.rows)
    matrix = trained.encoder.transform(columns)
    payload, check = choose_engine(
        trained.framework.value,
        "benchmark",
        trained.estimator,
        trained.encoder.width,
        trained.labels,
        trained.estimator.predict_proba,
        matrix,
    )
    model_id, version_id = str(new_id()), str(new_id())
    draft = ManifestDraft(
        model_id=model_id,
        model_version_id=version_id,
        name=f"bench-{name.lower()}",
        version=1,
        task=Task.CLASSIFICATION,
        target="target",
        classes=trained.labels,
        engine_check=check,
    )
    golden = golden_rows(trained.encoder, columns)
    write_package(folder / "model.mill", draft=draft, encoder=trained.encoder, payload=payload, golden_rows=golden)
    document: Mapping[str, Any] = {
        "features": trained.features,
        "texts": trained.texts,
        "labels": trained.labels,
        "rows": trained.rows,
        "classes": probabilities.argmax(axis=1).tolist(),
        "probabilities": probabilities.tolist(),
        "model_id": model_id,
        "version_id": version_id,
        "engine": payload.kind,
    }
    (folder / "model.json").write_text(json.dumps(document))
