"""How the packages in `format_1` were made: `python make_format_1.py OUT_DIR`.

They are never made again: a package of every released format stays as it was and must open. Run this only to add a file.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# The training libraries are untyped.

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from mill_contracts.recipe import DerivedFeature, Framework, LowConfidence, Preprocessing, Recipe, Task
from mill_contracts.tables import ColumnKind
from mill_pack import (
    EncodingStyle,
    EngineKind,
    ManifestDraft,
    Postprocessing,
    build_engine,
    fit_encoder,
    golden_rows,
    open_package,
    reference_profile,
    write_package,
)
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from xgboost import XGBClassifier, XGBRegressor

ROWS = 300
TREE = EncodingStyle()
LINEAR = EncodingStyle(categories="one_hot", scaling="standard", needs_imputation=True)
KINDS = {
    "age": ColumnKind.INTEGER,
    "weight": ColumnKind.NUMBER,
    "member": ColumnKind.BOOLEAN,
    "city": ColumnKind.STRING,
    "joined": ColumnKind.DATE,
    "seen at": ColumnKind.TIMESTAMP,
}


def columns() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(2026)
    weight = random.normal(70, 15, ROWS).round(1)
    weight[::9] = np.nan
    city = random.choice(np.array(["Kyiv", "Zürich", "São Paulo", "Osaka", "Oslo"], dtype=object), ROWS)
    city[::11] = None
    return {
        "age": random.integers(18, 80, ROWS).astype(np.float64),
        "weight": weight,
        "member": random.integers(0, 2, ROWS).astype(np.float64),
        "city": city,
        "joined": random.integers(10_000, 20_000, ROWS).astype(np.float64) * 86_400_000,
        "seen at": random.integers(10**12, 17 * 10**11, ROWS).astype(np.float64),
    }


def make(
    folder: Path, name: str, kind: EngineKind, framework: Framework, estimator: Any, classes: tuple[str, ...]
) -> None:
    table = columns()
    recipe = Recipe(
        task=Task.CLASSIFICATION if classes else Task.REGRESSION,
        framework=framework,
        algorithm=name,
        target="outcome",
        low_confidence=LowConfidence(below=0.7) if classes else None,
        decision_threshold=0.4 if len(classes) == 2 else None,
        class_labels={classes[0]: "first class"} if classes else {},
        preprocessing=Preprocessing(
            max_categories=4, derived=(DerivedFeature(name="ratio", expression="weight / log(age)"),)
        ),
    )
    encoder = fit_encoder(table, KINDS, recipe, LINEAR if kind in ("linear", "mlp") else TREE)
    matrix = encoder.transform(table)
    score = table["age"] / 50 + np.nan_to_num(table["weight"], nan=70) / 70 + table["member"]
    edges = np.quantile(score, np.linspace(0, 1, max(len(classes), 1) + 1)[1:-1])
    estimator.fit(matrix, np.digitize(score, edges) if classes else score)
    write_package(
        folder / f"{name}.mill",
        draft=ManifestDraft(
            model_id="00000000-0000-7000-8000-00000000000a",
            model_version_id="00000000-0000-7000-8000-00000000000b",
            name=name,
            version=1,
            task=recipe.task,
            target="outcome",
            classes=classes,
            postprocessing=Postprocessing.of(recipe),
            metrics={"accuracy": 0.5},
            reference=reference_profile(encoder, table),
            lineage={"recipe": recipe.model_dump(mode="json")},
        ),
        encoder=encoder,
        payload=build_engine(framework, name, estimator, encoder.width, classes, kind),
        golden_rows=golden_rows(encoder, table),
    )


def make_all(folder: Path) -> None:
    two, three = ("no", "yes"), ("a", "b", "c")
    perceptron = MLPRegressor(hidden_layer_sizes=(5,), random_state=1, tol=0.5)
    make(folder, "linear", "linear", Framework.SKLEARN, LogisticRegression(max_iter=500), two)
    make(folder, "multinomial", "linear", Framework.SKLEARN, LogisticRegression(max_iter=500), three)
    make(folder, "perceptron", "mlp", Framework.SKLEARN, perceptron, ())
    make(
        folder,
        "random_forest",
        "forest",
        Framework.SKLEARN,
        RandomForestClassifier(3, max_depth=4, random_state=1),
        three,
    )
    make(folder, "forest_of_xgboost", "forest", Framework.XGBOOST, XGBRegressor(n_estimators=4, max_depth=3), ())
    make(folder, "forest_of_lightgbm", "forest", Framework.LIGHTGBM, LGBMClassifier(n_estimators=4, verbose=-1), two)
    make(folder, "xgboost", "xgboost", Framework.XGBOOST, XGBClassifier(n_estimators=4, max_depth=3), two)
    make(folder, "lightgbm", "lightgbm", Framework.LIGHTGBM, LGBMClassifier(n_estimators=4, verbose=-1), three)


def record_answers(folder: Path) -> None:
    """Beside each package, what it answered on the day it was made."""
    for path in sorted(folder.glob("*.mill")):
        package = open_package(path)
        rows = [*package.manifest.golden.rows, {**package.manifest.golden.rows[0], "city": "Atlantis", "weight": None}]
        answers = [package.predict_one(row) for row in rows]
        document = [
            {
                "row": row,
                "value": answer.value,
                "confidence": answer.confidence,
                "low_confidence": answer.low_confidence,
                "warnings": list(answer.warnings),
            }
            for row, answer in zip(rows, answers, strict=True)
        ]
        path.with_suffix(".json").write_text(
            json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out_dir", type=Path)
    out = parser.parse_args().out_dir
    out.mkdir(parents=True, exist_ok=True)
    make_all(out)
    record_answers(out)
