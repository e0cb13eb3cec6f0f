"""Batch scoring with a real package trained on real rows: every row answered once, in order, as single predictions are."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mill_contracts.recipe import DerivedFeature, Framework, LowConfidence, Preprocessing, Recipe, Task
from mill_contracts.tasks import ProfileTask, ScoreTask, TrainTask
from mill_contracts.training import ScoreReport
from mill_kit.problems import Problem
from mill_pack import open_package
from mill_trainer.profile import profile
from mill_trainer.reporting import SilentReport
from mill_trainer.score import score
from mill_trainer.train import train

Read = Callable[[Path], dict[str, list[Any]]]
Score = Callable[..., tuple[ScoreReport, Path]]

HEADER = "id,age,fare,sex,embarked,alone,travelled\n"


def training_rows() -> str:
    lines = [
        f"p{index},{index % 70}.5,{index % 13},{'male' if index % 3 else 'female'},{'SCQ'[index % 3]},"
        f"{bool(index % 2)},2026-01-{index % 28 + 1:02d},{'yes' if (index * 7) % 10 > 4 else 'no'}\n"
        for index in range(400)
    ]
    return HEADER.replace("\n", ",survived\n") + "".join(lines)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classification package and a regression package."""
    home = tmp_path_factory.mktemp("trained")
    raw = home / "raw.csv"
    raw.write_text(training_rows())
    folders = {name: home / name for name in ("data", "scratch", "classifier", "regressor")}
    for folder in folders.values():
        folder.mkdir()
    out, scratch = folders["data"], folders["scratch"]
    profile(ProfileTask(raw_file=raw, out_dir=out, scratch_dir=scratch, file_name="raw.csv"), SilentReport())
    recipes = {
        "classifier": Recipe(
            task=Task.CLASSIFICATION,
            framework=Framework.SKLEARN,
            algorithm="logistic_regression",
            target="survived",
            features=("age", "fare", "sex", "embarked", "alone", "travelled"),
            preprocessing=Preprocessing(derived=(DerivedFeature(name="fare_by_age", expression="fare / age"),)),
            low_confidence=LowConfidence(below=0.55),
        ),
        "regressor": Recipe(
            task=Task.REGRESSION,
            framework=Framework.SKLEARN,
            algorithm="ridge",
            target="fare",
            features=("age", "sex"),
        ),
    }
    for name, recipe in recipes.items():
        train(_train_task(out / "data.parquet", folders[name], scratch, recipe), SilentReport())
    return {name: folders[name] / "model.mill" for name in recipes}


def _train_task(data: Path, out: Path, scratch: Path, recipe: Recipe) -> TrainTask:
    return TrainTask(
        data_file=data,
        out_dir=out,
        scratch_dir=scratch,
        recipe=recipe,
        model_id="model",
        model_version_id="version",
        model_name="travellers",
        model_version=1,
        dataset_version_id="dataset",
        dataset_sha256="0" * 64,
    )


@pytest.fixture
def score_file(trained: dict[str, Path], tmp_path: Path) -> Score:
    """Score a raw upload; the report and the path of the predictions."""
    made = 0

    def run(content: str, *, model: str = "classifier", **fields: Any) -> tuple[ScoreReport, Path]:
        nonlocal made
        made += 1
        home = tmp_path / f"score-{made}"
        out, scratch = home / "out", home / "scratch"
        out.mkdir(parents=True)
        scratch.mkdir()
        data = home / "raw"
        data.write_text(content, encoding="utf-8")
        known: dict[str, Any] = {
            "package_file": trained[model],
            "data_file": data,
            "out_dir": out,
            "scratch_dir": scratch,
            "source_is_canonical": False,
            "file_name": "rows.csv",
        }
        report = score(ScoreTask.model_validate(known | fields), SilentReport())
        return report, out / report.output_file

    return run


ROWS = HEADER + "p1,22.5,3,male,S,True,2026-01-02\np2,,5,female,C,False,2026-01-20\np3,40.5,1,male,Q,True,2026-01-09\n"


def test_every_row_is_answered_as_a_single_prediction_is(
    score_file: Score, trained: dict[str, Path], read_parquet: Read
) -> None:
    report, file = score_file(ROWS.replace("p2,,", "p2,33,"))

    table = read_parquet(file)
    package = open_package(trained["classifier"])
    inputs = [
        {"age": 22.5, "fare": 3, "sex": "male", "embarked": "S", "alone": True, "travelled": "2026-01-02"},
        {"age": 33.0, "fare": 5, "sex": "female", "embarked": "C", "alone": False, "travelled": "2026-01-20"},
        {"age": 40.5, "fare": 1, "sex": "male", "embarked": "Q", "alone": True, "travelled": "2026-01-09"},
    ]
    singles = [package.predict_one(row) for row in inputs]
    assert table["row"] == [1, 2, 3]
    assert table["id"] == ["p1", "p2", "p3"]
    assert table["prediction"] == [single.value for single in singles]
    assert table["confidence"] == pytest.approx([single.confidence for single in singles], abs=1e-12)
    assert table["probability_yes"] == pytest.approx(
        [(single.probabilities or {})["yes"] for single in singles], abs=1e-12
    )
    assert table["low_confidence"] == [single.low_confidence for single in singles]
    assert list(report.columns) == list(table)
    assert json.loads((file.parent / "report.json").read_text())["rows"] == 3


def test_inputs_stay_beside_the_predictions_in_their_order(score_file: Score, read_parquet: Read) -> None:
    _, file = score_file(ROWS.replace("p2,,", "p2,33,"), return_probabilities=False)

    assert list(read_parquet(file)) == [
        "row", "id", "age", "fare", "sex", "embarked", "alone", "travelled", "prediction", "confidence", "low_confidence",
    ]  # fmt: skip


def test_a_regression_gives_numbers(score_file: Score, read_parquet: Read) -> None:
    report, file = score_file("age,sex\n22.5,male\n33,female\n", model="regressor")

    assert report.columns == ("row", "age", "sex", "prediction")
    assert all(isinstance(value, float) for value in read_parquet(file)["prediction"])


def test_a_canonical_table_gives_the_same_answers_as_its_raw_file(
    score_file: Score, read_parquet: Read, tmp_path: Path
) -> None:
    content = training_rows()
    raw = tmp_path / "raw.csv"
    raw.write_text(content)
    task = ProfileTask(raw_file=raw, out_dir=tmp_path / "o", scratch_dir=tmp_path / "s", file_name="raw.csv")
    task.out_dir.mkdir()
    task.scratch_dir.mkdir()
    profile(task, SilentReport())

    _, from_raw = score_file(content)
    _, from_canonical = score_file("", data_file=task.out_dir / "data.parquet", source_is_canonical=True)

    assert read_parquet(from_raw) == read_parquet(from_canonical)


def test_output_names_make_way_for_inputs_of_the_same_name(score_file: Score, read_parquet: Read) -> None:
    _, file = score_file("age,sex,Prediction\n22.5,male,old\n", model="regressor")

    table = read_parquet(file)
    assert table["Prediction"] == ["old"]
    assert list(table) == ["model_row", "age", "sex", "Prediction", "model_prediction"]


def test_a_csv_for_spreadsheets_holds_no_formula_and_its_numbers_stay_numbers(score_file: Score) -> None:
    cells = ["=1+1", "+1", "-cmd", "@x", "\t=1", "\r=1", "fine", "a=b"]
    quoted = "".join(f'-22.5,male,"{cell}"\n' for cell in cells)

    report, file = score_file(f"age,sex,=note\n{quoted}", model="regressor", output_format="csv")

    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline="")))
    assert report.output_file == "predictions.csv"
    assert [row["'=note"] for row in rows] == ["'" + cell for cell in cells[:6]] + ["fine", "a=b"]
    assert all(float(row["age"]) == -22.5 for row in rows)


def test_unseen_categories_are_counted_over_all_batches(score_file: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mill_trainer.score.service.ROWS_PER_BATCH", 2)

    report, _ = score_file("age,sex\n" + "22,other\n" * 5 + "23,male\n", model="regressor")

    [warning] = [each for each in report.warnings if each.code == "unseen-categories"]
    assert warning.column == "sex"
    assert warning.detail.startswith("5 of 6 rows")


def test_digits_stay_text_where_the_model_knows_text(score_file: Score, read_parquet: Read) -> None:
    report, file = score_file("age,sex\n22,1\n23,2\n", model="regressor")

    assert read_parquet(file)["sex"] == ["1", "2"]
    assert "unseen-categories" in {each.code for each in report.warnings}


def test_rows_in_ndjson_are_scored_too(score_file: Score) -> None:
    report, _ = score_file('{"age": 22, "sex": "male"}\n{"age": 23.5, "sex": "female"}\n', model="regressor")

    assert report.rows == 2


REFUSED = [
    ("a missing column", "age,Sex\n22,male\n", "missing-columns", "sex", "Did you mean 'Sex'"),
    ("text for numbers", "age,sex\n22,male\nold,male\n", "wrong-column-kind", "age", "'22'"),
    ("a truth value for numbers", "age,sex\ntrue,male\n", "wrong-column-kind", "age", "boolean"),
    ("no rows", "age,sex\n", "no-rows", None, ""),
    ("a ragged row", "age,sex\n22,male\n23\n", "ragged-rows", None, "Line 3"),
]


@pytest.mark.parametrize(
    ("content", "slug", "column", "says"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_table_the_model_cannot_use_is_refused_and_leaves_nothing(
    content: str, slug: str, column: str | None, says: str, score_file: Score, tmp_path: Path
) -> None:
    with pytest.raises(Problem) as refused:
        score_file(content, model="regressor")

    problem = refused.value
    assert (problem.slug, problem.status) == (slug, 422)
    if column:
        assert problem.errors[0]["column"] == column
    assert says in problem.detail + str(problem.errors)
    assert not list(tmp_path.glob("*/out/*"))


def test_a_file_that_is_no_package_is_refused(score_file: Score, tmp_path: Path) -> None:
    fake = tmp_path / "fake.mill"
    fake.write_bytes(b"not a package")

    with pytest.raises(Problem):
        score_file(ROWS, package_file=fake)
