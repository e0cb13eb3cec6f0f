"""A package: written once, opened anywhere, and then it answers as it did where it was made."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mill_contracts.recipe import Task
from mill_pack import (
    GoldenRowsDiffer,
    InvalidInput,
    InvalidPackage,
    Package,
    Postprocessing,
    linear_payload,
    measure_cost,
    open_package,
    package_bytes,
    reference_profile,
    synthetic_golden_rows,
)
from mill_pack.archive import archive_bytes, read_archive


@pytest.fixture(scope="module")
def package(package_file: Path) -> Package:
    return open_package(package_file)


def with_rules(parts: Any, tmp_path: Path, **rules: Any) -> Package:
    draft = parts.draft.model_copy(update={"postprocessing": Postprocessing(**rules)})
    return open_package(parts.write(tmp_path / "model.mill", draft=draft))


def test_the_same_parts_give_the_same_bytes(parts: Any, package_file: Path, tmp_path: Path) -> None:
    assert parts.write(tmp_path / "again.mill").read_bytes() == package_file.read_bytes()


def test_one_row_a_list_and_a_table_get_the_same_answers(package: Package, parts: Any, table: Any) -> None:
    rows = table.rows(parts.encoder)
    table_answers = package.predict_columns(table.columns)
    list_answers = package.predict_rows(rows)
    singles = [package.predict_one(row) for row in rows]
    assert table_answers.values == list_answers.values == [single.value for single in singles]
    assert table_answers.probabilities is not None
    assert list_answers.probabilities is not None
    assert np.array_equal(table_answers.probabilities, list_answers.probabilities)
    single_probabilities = [list((single.probabilities or {}).values()) for single in singles]
    assert np.array_equal(table_answers.probabilities, np.array(single_probabilities))
    assert table_answers.rows_with_missing == sum(None in row.values() for row in rows)


def test_an_answer_names_class_confidence_and_probabilities(package: Package, parts: Any) -> None:
    answer = package.predict_one(parts.golden_rows[0])
    assert answer.probabilities is not None
    assert list(answer.probabilities) == ["no", "yes"]
    assert answer.confidence == max(answer.probabilities.values()) == answer.probabilities[str(answer.value)]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert not answer.low_confidence
    assert answer.warnings == ()


def test_an_unseen_category_is_a_warning(package: Package, parts: Any) -> None:
    row = parts.golden_rows[0] | {"colour": "mauve"}
    assert package.predict_one(row).warnings == ("colour: category unknown to the model",)
    warnings = package.predict_rows([row, parts.golden_rows[1]]).warnings
    assert warnings == ("colour: 1 of 2 rows hold a category unknown to the model",)


def test_a_wrong_input_points_to_where_the_caller_put_it(package: Package, parts: Any) -> None:
    row = parts.golden_rows[0] | {"age": "old"}
    with pytest.raises(InvalidInput) as refused:
        package.predict_rows([parts.golden_rows[0], row], pointer="/instances")
    assert [error["pointer"] for error in refused.value.errors] == ["/instances/1/age"]


def test_labels_are_renamed_in_the_answer_only(parts: Any, tmp_path: Path) -> None:
    renamed = with_rules(parts, tmp_path, class_labels={"no": "≤ 50K", "yes": "> 50K"})
    answer = renamed.predict_one(parts.golden_rows[0])
    assert set(answer.probabilities or {}) == {"≤ 50K", "> 50K"}
    assert answer.value in {"≤ 50K", "> 50K"}
    assert renamed.signature.classes == ("no", "yes")
    assert renamed.labels == ("≤ 50K", "> 50K")
    assert set(renamed.predict_rows(parts.golden_rows).values) <= {"≤ 50K", "> 50K"}


@pytest.mark.parametrize("positive", [None, "yes", "no"])
def test_the_threshold_decides_for_the_positive_class(
    parts: Any, table: Any, tmp_path: Path, positive: str | None
) -> None:
    strict = with_rules(parts, tmp_path, decision_threshold=0.9, positive_class=positive)
    answers = strict.predict_columns(table.columns)
    assert answers.probabilities is not None
    name = positive or "yes"
    index = ("no", "yes").index(name)
    expected = [name if row[index] >= 0.9 else ("no", "yes")[1 - index] for row in answers.probabilities]
    assert answers.values == expected
    assert [strict.predict_one(row).value for row in table.rows(parts.encoder)] == expected
    assert answers.confidence is not None
    assert answers.confidence.min() < 0.5


def test_low_confidence_is_marked(parts: Any, table: Any, tmp_path: Path) -> None:
    careful = with_rules(parts, tmp_path, low_confidence_below=0.8)
    answers = careful.predict_columns(table.columns)
    assert answers.confidence is not None
    assert answers.low_confidence.tolist() == (answers.confidence < 0.8).tolist()
    assert answers.low_confidence.any()
    singles = [careful.predict_one(row).low_confidence for row in table.rows(parts.encoder)]
    assert singles == answers.low_confidence.tolist()


def test_a_tie_goes_to_the_first_class(parts: Any, tmp_path: Path) -> None:
    undecided = linear_payload(np.zeros((1, parts.encoder.width)), np.zeros(1))
    package = open_package(parts.write(tmp_path / "model.mill", payload=undecided))
    assert package.predict_one(parts.golden_rows[0]).value == "no"
    assert package.predict_rows(parts.golden_rows[:2]).values == ["no", "no"]


def test_a_regression_answers_with_a_number(parts: Any, table: Any, tmp_path: Path) -> None:
    draft = parts.draft.model_copy(update={"task": Task.REGRESSION, "classes": ()})
    package = open_package(parts.write(tmp_path / "model.mill", draft=draft))
    answer = package.predict_one(parts.golden_rows[0])
    many = package.predict_rows(parts.golden_rows)
    assert isinstance(answer.value, float)
    assert (answer.confidence, answer.probabilities, answer.low_confidence) == (None, None, False)
    assert isinstance(many.values, np.ndarray)
    assert many.values[0] == answer.value
    assert many.probabilities is None
    assert not package.predict_columns(table.columns).low_confidence.any()


def test_a_prediction_that_is_not_finite_is_refused(parts: Any, tmp_path: Path) -> None:
    draft = parts.draft.model_copy(update={"task": Task.REGRESSION, "classes": ()})
    huge = linear_payload(np.full((1, parts.encoder.width), 1e300), np.zeros(1))
    package = open_package(parts.write(tmp_path / "model.mill", draft=draft, payload=huge))
    row = parts.golden_rows[0] | {"capital gain": 1e300}
    with pytest.raises(InvalidInput, match="not finite"):
        package.predict_one(row)
    with pytest.raises(InvalidInput, match="Row 2 "):
        package.predict_rows([parts.golden_rows[0], row])


def test_no_rows_get_no_answers(package: Package) -> None:
    answers = package.predict_rows([])
    assert (answers.values, len(answers.low_confidence)) == ([], 0)


def test_other_golden_outputs_are_noticed_unless_told_not_to_look(package_file: Path, tmp_path: Path) -> None:
    entries = {name: bytes(content) for name, content in read_archive(package_file.read_bytes()).items()}
    manifest = open_package(package_file).manifest
    wrong = manifest.golden.model_copy(update={"outputs": tuple((0.5, 0.5) for _ in manifest.golden.rows)})
    text = manifest.model_copy(update={"golden": wrong}).model_dump_json().encode()
    path = tmp_path / "model.mill"
    path.write_bytes(archive_bytes(entries | {"manifest.json": text}))
    with pytest.raises(GoldenRowsDiffer, match="differently"):
        open_package(path)
    assert open_package(path, replay_golden=False).manifest.name == "income"


@pytest.mark.parametrize(
    "rules",
    [
        {"class_labels": {"maybe": "x"}},
        {"class_labels": {"no": "same", "yes": "same"}},
        {"positive_class": "maybe"},
    ],
)
def test_rules_about_classes_the_model_does_not_have_are_refused(parts: Any, rules: dict[str, Any]) -> None:
    draft = parts.draft.model_copy(update={"postprocessing": Postprocessing(**rules)})
    with pytest.raises(ValueError, match="class"):
        package_bytes(draft=draft, encoder=parts.encoder, payload=parts.payload, golden_rows=parts.golden_rows)


def test_a_payload_of_another_width_is_refused(parts: Any) -> None:
    narrow = linear_payload(np.zeros((1, 3)), np.zeros(1))
    with pytest.raises(InvalidPackage, match="does not fit"):
        package_bytes(draft=parts.draft, encoder=parts.encoder, payload=narrow, golden_rows=[])


def test_cost_size_and_reference_are_honest(package: Package, parts: Any, table: Any) -> None:
    cost = measure_cost(draft=parts.draft, encoder=parts.encoder, payload=parts.payload, golden_rows=parts.golden_rows)
    assert 0 < cost.microseconds_per_row < 100_000
    assert cost.package_bytes > parts.payload.nbytes
    assert package.nbytes > parts.payload.nbytes
    profile = {feature.name: feature for feature in reference_profile(parts.encoder, table.columns)}
    assert profile["hours"].missing == int(np.isnan(table.columns["hours"]).sum())
    assert sum(profile["hours"].counts) + profile["hours"].missing == profile["hours"].rows
    assert sum(profile["job"].categories.values()) + profile["job"].missing == profile["job"].rows


def test_golden_rows_can_be_made_up_for_sensitive_data(parts: Any, tmp_path: Path) -> None:
    rows = synthetic_golden_rows(parts.encoder.signature_features, seed=3)
    assert rows == synthetic_golden_rows(parts.encoder.signature_features, seed=3)
    assert len(rows) == 20
    package = open_package(parts.write(tmp_path / "model.mill", golden_rows=rows))
    assert package.manifest.golden.rows == tuple(rows)


def test_opening_a_linear_model_imports_no_training_library(package_file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mill_pack import open_package;"
        "package = open_package(Path(sys.argv[1]));"
        "package.predict_one(package.manifest.golden.rows[0]);"
        "heavy = {'sklearn', 'scipy', 'xgboost', 'lightgbm', 'skops', 'pandas'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(package_file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_threads_share_a_package(package: Package, parts: Any) -> None:
    rows = parts.golden_rows * 20
    expected = [package.predict_one(row) for row in rows]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(package.predict_one, rows)) == expected
        together = package.predict_rows(rows)
        for answers in pool.map(package.predict_rows, [rows] * 8):
            assert answers.values == together.values
