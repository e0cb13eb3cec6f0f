"""An explanation adds up to the answer, names inputs, and is refused where nobody knows."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The libraries that train are untyped.

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_pack import ExplainUnsupported, build_engine, open_package

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")


def log_odds(probability: Any) -> Any:
    return np.log(probability / (1 - probability))


def test_a_linear_model_adds_up_to_its_log_odds(package_file: Path, table: Any) -> None:
    package = open_package(package_file)
    rows = table.rows(package.encoder)[:40]
    found = package.explain_rows(rows)
    assert found.features == tuple(feature.name for feature in package.signature.features)
    assert found.outputs == ("yes",)
    assert found.contributions.shape == (40, 1, len(found.features))
    probabilities = package.predict_rows(rows).probabilities
    assert probabilities is not None
    assert found.margins[:, 0] == pytest.approx(log_odds(probabilities[:, 1]), abs=1e-9)


def test_what_a_derived_feature_adds_counts_for_its_inputs(package_file: Path, table: Any) -> None:
    package = open_package(package_file)
    row = table.rows(package.encoder)[0]
    changed = {**row, "colour": "green" if row["colour"] != "green" else "blue"}
    both = package.explain_rows([row, changed])
    differs = both.contributions[0, 0] != both.contributions[1, 0]
    assert [name for name, differ in zip(both.features, differs, strict=True) if differ] == ["colour"]
    gained = package.explain_rows([row, {**row, "capital gain": 5.0}])
    differs = gained.contributions[0, 0] != gained.contributions[1, 0]
    assert [name for name, differ in zip(gained.features, differs, strict=True) if differ] == ["capital gain"]


@pytest.mark.parametrize(
    ("framework", "outputs"), [("xgboost", ("yes",)), ("lightgbm", ("yes",)), ("scikit-learn", ("no", "yes"))]
)
def test_a_forest_adds_up_to_its_margins(
    framework: str, outputs: tuple[str, ...], parts: Any, fit: Any, styles: Any, table: Any, tmp_path: Path
) -> None:
    encoder = fit(styles["linear"])
    matrix = encoder.transform(table.columns)
    target = (matrix[:, 0] + matrix[:, 3] > 0.2).astype(np.int64)
    payload = build_engine(framework, "trees", _trained(framework, matrix, target), encoder.width, ("no", "yes"))
    package = open_package(parts.write(tmp_path / "forest.mill", encoder=encoder, payload=payload))
    rows = table.rows(encoder)[:30]
    found = package.explain_rows(rows)
    assert found.outputs[-1] == "yes"
    assert len(found.outputs) in (1, len(outputs))
    probability = found.predictions.probabilities
    assert probability is not None
    expected = log_odds(probability[:, 1]) if framework != "scikit-learn" else probability[:, 1]
    assert found.margins[:, -1] == pytest.approx(expected, abs=1e-5)


def test_an_engine_that_cannot_say_is_refused(parts: Any, fit: Any, styles: Any, table: Any, tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    encoder = fit(styles["linear"])
    matrix = encoder.transform(table.columns)
    estimator: Any = KNeighborsClassifier(3)
    estimator.fit(matrix, np.arange(len(matrix)) % 2)
    payload = build_engine("scikit-learn", "knn", estimator, encoder.width, ("no", "yes"))
    package = open_package(parts.write(tmp_path / "knn.mill", encoder=encoder, payload=payload))
    with pytest.raises(ExplainUnsupported, match="skops"):
        package.explain_rows(table.rows(encoder)[:1])


def _trained(framework: str, matrix: Any, target: Any) -> Any:
    match framework:
        case "xgboost":
            from xgboost import XGBClassifier

            return XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1).fit(matrix, target)
        case "lightgbm":
            from lightgbm import LGBMClassifier

            return LGBMClassifier(n_estimators=10, num_leaves=7, n_jobs=1, verbose=-1).fit(matrix, target)
        case _:
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(10, max_depth=4, random_state=1).fit(matrix, target)
