"""The demo models: made anywhere without a training library, and those that ship are the ones this code makes."""

from pathlib import Path

import pytest
from mill_pack import InvalidInput, open_package
from mill_pack.demo import FEATURES, write_demo_models

SHIPPED = Path(__file__).parents[3] / "shared-models"
ROW = {"feature1": 5.1, "feature2": 3.5, "feature3": 1.4, "feature4": 0.2}


def test_the_demo_models_answer(tmp_path: Path) -> None:
    write_demo_models(tmp_path)
    classifier = open_package(tmp_path / "demo_model_1.mill")
    regressor = open_package(tmp_path / "demo_model_2.mill")
    assert tuple(spec.name for spec in classifier.signature.features) == FEATURES
    assert classifier.predict_one(ROW).value == "negative"
    assert set(classifier.predict_rows(classifier.manifest.golden.rows).values) == {"negative", "positive"}
    assert classifier.predict_rows(classifier.manifest.golden.rows).low_confidence.any()
    assert regressor.predict_one(ROW).value == pytest.approx(70.3125)
    with pytest.raises(InvalidInput):
        regressor.predict_one({"feature1": 1.0})


@pytest.mark.parametrize("name", ["demo_model_1", "demo_model_2"])
def test_the_shipped_demo_models_are_those_of_this_code(tmp_path: Path, name: str) -> None:
    write_demo_models(tmp_path)
    made = open_package(tmp_path / f"{name}.mill").manifest
    shipped = open_package(SHIPPED / f"{name}.mill").manifest
    volatile = {"golden"}  # the last bit of an exponential may differ between machines; opening has replayed them
    assert made.model_dump(exclude=volatile) == shipped.model_dump(exclude=volatile)
    assert made.golden.rows == shipped.golden.rows
