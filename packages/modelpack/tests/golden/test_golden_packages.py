"""A package of every format ever released opens, and answers as it did on the day it was made."""

import json
from pathlib import Path
from typing import Any

import pytest
from mill_pack import open_package

FOLDER = Path(__file__).parent
PACKAGES = sorted(FOLDER.glob("format_*/*.mill"))


def test_the_golden_packages_are_all_here() -> None:
    assert len(PACKAGES) >= 8


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_released_package_opens_and_answers_as_ever(path: Path) -> None:
    package = open_package(path)
    recorded: list[dict[str, Any]] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    tolerance = package.manifest.golden.tolerance
    many = package.predict_rows([entry["row"] for entry in recorded])
    for index, entry in enumerate(recorded):
        answer = package.predict_one(entry["row"])
        if isinstance(entry["value"], str):
            assert answer.value == many.values[index] == entry["value"]
        else:
            assert answer.value == pytest.approx(entry["value"], rel=tolerance)
        assert answer.confidence == pytest.approx(entry["confidence"], abs=tolerance)
        assert answer.low_confidence == entry["low_confidence"]
        assert list(answer.warnings) == entry["warnings"]
