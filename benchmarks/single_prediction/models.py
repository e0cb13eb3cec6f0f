"""The models under test: XGBoost on 30 floats behind an API key, and a random forest on mixed columns, shared."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn and xgboost are partly typed; nothing outside this file sees them.

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from mill_contracts.ids import new_id
from mill_contracts.recipe import Framework, Recipe, Task
from mill_contracts.tables import ColumnKind
from mill_pack import Columns, EncodingStyle, ManifestDraft, choose_engine, fit_encoder, golden_rows, write_package
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier


@dataclass(frozen=True)
class Built:
    path: Path
    name: str
    model_id: str
    version_id: str
    engine: str
    rows: list[dict[str, Any]]


def xgboost_30_floats(folder: Path) -> Built:
    """200 trees of depth 6 on the breast-cancer table."""
    data: Any = load_breast_cancer()
    columns = {f"feature_{number}": data.data[:, number].astype(np.float64) for number in range(30)}
    estimator = xgboost.XGBClassifier(n_estimators=200, max_depth=6, n_jobs=2, random_state=0)
    return _pack(folder, "xgboost_30", columns, data.target, estimator, Framework.XGBOOST, EncodingStyle())


def forest_mixed(folder: Path) -> Built:
    """100 trees on eight numbers and four strings, one-hot."""
    random = np.random.default_rng(0)
    rows = 3000
    columns: dict[str, Any] = {f"number_{number}": random.normal(size=rows) for number in range(8)}
    for number in range(4):
        columns[f"text_{number}"] = random.choice(np.array(["red", "green", "blue", "grey"], dtype=object), size=rows)
    target = ((columns["number_0"] + (columns["text_0"] == "red") + random.normal(size=rows)) > 0.3).astype(int)
    estimator = RandomForestClassifier(n_estimators=100, n_jobs=2, random_state=0)
    style = EncodingStyle(categories="one_hot", scaling="standard", needs_imputation=True)
    return _pack(folder, "forest_mixed", columns, target, estimator, Framework.SKLEARN, style)


def _pack(
    folder: Path, name: str, columns: Columns, target: Any, estimator: Any, framework: Framework, style: EncodingStyle
) -> Built:
    kinds = {
        column: ColumnKind.STRING if values.dtype == object else ColumnKind.NUMBER for column, values in columns.items()
    }
    recipe = Recipe(task=Task.CLASSIFICATION, framework=framework, algorithm="benchmark", target="target")
    encoder = fit_encoder(columns, kinds, recipe, style)
    matrix = encoder.transform(columns)
    estimator.fit(matrix, target)
    classes = ("no", "yes")
    payload, check = choose_engine(
        framework.value, "benchmark", estimator, encoder.width, classes, estimator.predict_proba, matrix[:500]
    )
    rows = golden_rows(encoder, columns)
    model_id, version_id = str(new_id()), str(new_id())
    draft = ManifestDraft(
        model_id=model_id,
        model_version_id=version_id,
        name=name,
        version=1,
        task=Task.CLASSIFICATION,
        target="target",
        classes=classes,
        engine_check=check,
    )
    path = folder / f"{name}.mill"
    write_package(path, draft=draft, encoder=encoder, payload=payload, golden_rows=rows)
    return Built(path, name, model_id, version_id, payload.kind, rows)
