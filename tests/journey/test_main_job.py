"""The main job, end to end, over HTTP and through the SDK: upload, train, compare, deploy, predict, score a whole file.

Runs on the folder store and, through the `minio` SDK, on a real S3 server.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mill_kit.store.open import open_store
from modelmill import Client, InvalidRequest, JobFailed, NotFound

from tests.conftest import Stack, eventually, running_stack

DATA = Path(__file__).parents[2] / "examples" / "data"
ROWS = 6_000


@pytest.fixture(scope="module", params=["folder", "s3"])
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if request.param == "folder":
        yield request.getfixturevalue("stack")
        return
    server: Any = request.getfixturevalue("s3_server")
    url = server.url("journey")
    open_store(url, server.access_key, server.secret_key)
    settings = {
        "MILL_STORE__URL": url,
        "MILL_STORE__ACCESS_KEY": server.access_key,
        "MILL_STORE__SECRET_KEY": server.secret_key,
    }
    with running_stack(tmp_path_factory.mktemp("s3-stack") / "home", settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def mill(journey: Stack) -> Iterator[Client]:
    with journey.client("traveller") as client:
        yield client


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """The first rows of the census table as a file, and five rows after them that no model sees."""
    with (DATA / "adult.csv").open(newline="") as source:
        table = list(csv.reader(source))
    path = tmp_path_factory.mktemp("data") / "census.csv"
    with path.open("w", newline="") as target:
        csv.writer(target).writerows(table[: ROWS + 1])
    return path, [dict(zip(table[0], row, strict=True)) for row in table[ROWS + 1 : ROWS + 6]]


def as_features(row: dict[str, str]) -> dict[str, Any]:
    """A row of CSV as JSON: numbers as numbers, empty as null, without the target."""
    return {
        name: None if value == "" else int(value) if value.isdigit() else value
        for name, value in row.items()
        if name != "income"
    }


def test_from_a_table_to_predictions(mill: Client, census: tuple[Path, list[dict[str, str]]], tmp_path: Path) -> None:
    table, unseen = census
    project = mill.projects.create("Census")
    dataset = mill.datasets.upload(table, project_id=project.id, name="census")
    kinds: dict[str, tuple[str, str | None, dict[str, int]]] = {
        "logistic": ("scikit-learn", "logistic_regression", {}),
        "forest": ("scikit-learn", "random_forest", {"n_estimators": 20, "max_depth": 8}),
        "boosted": ("xgboost", None, {"n_estimators": 40}),
        "light": ("lightgbm", None, {"n_estimators": 40}),
    }
    asked = [
        mill.models.train(
            name,
            project_id=project.id,
            dataset_id=dataset.id,
            framework=framework,
            algorithm=algorithm,
            parameters=given,
        )
        for name, (framework, algorithm, given) in kinds.items()
    ]
    trained = {model.name: mill.models.wait(model, timeout=120) for model in asked}
    assert {model.status for model in trained.values()} == {"trained"}
    assert all(model.target == "income" for model in trained.values())

    ranking = mill.models.leaderboard(project_id=project.id)
    scores = [entry.metrics["roc_auc"] for entry in ranking]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.88

    best = trained[ranking[0].name]
    for model in (best, trained["boosted"]):
        mill.models.deploy(model.id)
        mill.models.wait_deployed(model.id, timeout=60)
    for row in unseen:
        prediction = mill.predictions.one(best.name, as_features(row))
        assert prediction.prediction in {"<=50K", ">50K"}
    answers = mill.predictions.many(f"{best.name}@1", [as_features(row) for row in unseen])
    assert len(answers.predictions) == len(unseen)

    batch = mill.batch.score_dataset(best.id, dataset_id=dataset.id, output_format="csv")
    done = mill.batch.wait(batch, timeout=120)
    result = mill.batch.download(done, tmp_path / "predictions.csv")
    with result.open(newline="") as source:
        scored = list(csv.DictReader(source))
    assert len(scored) == ROWS
    agreeing = sum(row["prediction"] == row["income"] for row in scored) / ROWS
    assert agreeing > 0.85

    from_file = mill.batch.wait(mill.batch.score_file(best.id, table), timeout=120)
    assert from_file.report is not None
    assert from_file.report["rows"] == ROWS


def test_the_api_servers_own_door_keeps_a_history(
    journey: Stack, mill: Client, census: tuple[Path, list[dict[str, str]]]
) -> None:
    with journey.client("historian", serving=False) as historian:
        row = {f"feature{number}": 1.0 for number in range(1, 5)}
        answer = historian.predictions.one("demo_model_1", row)
        kept = [entry.raw for entry in historian.predictions.history()]
    assert [(entry["model"], entry["status"], entry["input"]) for entry in kept] == [("demo_model_1", 200, row)]
    assert kept[0]["output"]["prediction"] == answer.prediction


def test_the_raw_census_file_has_four_classes_and_a_warning(mill: Client) -> None:
    project = mill.projects.create("Raw census")
    dataset = mill.datasets.wait(mill.datasets.upload(DATA / "adult_raw.csv", project_id=project.id), timeout=120)
    assert dataset.status == "ready"
    codes = {(warning["code"], warning["column"]) for warning in dataset.warnings}
    income = dataset.columns[-1]
    assert income["distinct"] == 4
    assert ("near-duplicate-labels", income["name"]) in codes


def test_a_regression_on_diamonds(mill: Client) -> None:
    project = mill.projects.create("Diamonds")
    dataset = mill.datasets.upload(DATA / "diamonds.csv", project_id=project.id)
    model = mill.models.train(
        "diamond price",
        project_id=project.id,
        dataset_id=dataset.id,
        model_type="regression",
        framework="lightgbm",
        target="price",
        parameters={"n_estimators": 60},
    )
    trained = mill.models.wait(model, timeout=120)
    assert trained.metrics is not None
    assert trained.metrics["r2"] > 0.95
    mill.models.deploy(trained.id)
    mill.models.wait_deployed(trained.id)
    stone = {"carat": 0.7, "cut": "Ideal", "color": "E", "clarity": "VS1", "depth": 61.5, "table": 55.0}
    stone |= {"x": 5.7, "y": 5.72, "z": 3.5}
    prediction = mill.predictions.one("diamond price", stone)
    assert 1_500 < float(prediction.prediction) < 6_000
    odd = {**{name: value for name, value in stone.items() if name != "x"}, "cut": "Unheard of", "owner": "Ada"}
    with pytest.raises(InvalidRequest):
        mill.predictions.one("diamond price", odd)
    lenient = mill.models.deploy(trained.id, missing="impute", extra="ignore")
    assert lenient.policy == {"missing": "impute", "extra": "ignore", "unseen": "accept"}
    eventually(lambda: answers(mill, "diamond price", odd), 30, "the policy reaches ml-service")
    mill.models.deploy(trained.id, unseen="refuse")
    eventually(lambda: not answers(mill, "diamond price", odd), 30, "unseen categories are refused")


def answers(mill: Client, model: str, row: dict[str, Any]) -> bool:
    try:
        return mill.predictions.one(model, row).prediction is not None
    except InvalidRequest:
        return False


def test_a_deploy_asked_for_while_training_takes_effect(mill: Client) -> None:
    project = mill.projects.create("Titanic")
    dataset = mill.datasets.upload(DATA / "titanic.csv", project_id=project.id)
    model = mill.models.train(
        "survival",
        project_id=project.id,
        dataset_id=dataset.id,
        framework="xgboost",
        target="survived",
        exclude=["alive"],
        parameters={"n_estimators": 30},
    )
    asked = mill.models.deploy(model.id)
    assert asked.status == "waiting"
    mill.models.wait(model, timeout=120)
    live = mill.models.wait_deployed(model.id, timeout=60)
    assert live.version == 1
    assert mill.models.get(model.id).status == "deployed"


def test_a_broken_table_fails_the_waiting_training_by_name(mill: Client, tmp_path: Path) -> None:
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b,label\n1,2,x\n3,4\n5,6,y\n")
    project = mill.projects.create("Broken")
    dataset = mill.datasets.upload(ragged, project_id=project.id)
    model = mill.models.train("never", project_id=project.id, dataset_id=dataset.id, framework="xgboost")
    with pytest.raises(JobFailed) as failure:
        mill.models.wait(model, timeout=60)
    assert "did not succeed" in str(failure.value) or "ragged" in json.dumps(str(failure.value))
    broken = mill.datasets.get(dataset.id)
    assert broken.status == "invalid"
    assert broken.problem is not None
    assert broken.problem["errors"][0]["line"] == 3


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": "red"}, "colour"),
        ({"age": "old"}, "age"),
        ({"age": True}, "age"),
    ],
    ids=str,
)
def test_a_row_that_does_not_fit_is_refused_by_feature(
    mill: Client, census: tuple[Path, list[dict[str, str]]], change: dict[str, Any], pointer: str
) -> None:
    row = {**as_features(census[1][0]), **change}
    with pytest.raises(InvalidRequest) as refusal:
        mill.predictions.one("boosted", row)
    assert pointer in str(refusal.value)


def test_a_model_of_another_workspace_is_not_there(journey: Stack, mill: Client) -> None:
    with journey.client("stranger") as stranger, pytest.raises(NotFound):
        stranger.predictions.one("boosted", {"age": 1})
    assert mill is not None


def test_demo_models_need_no_key(journey: Stack) -> None:
    with Client(journey.api_url, serving_url=journey.serving_url) as anyone:
        row = {f"feature{number}": 0.5 for number in range(1, 5)}
        assert anyone.predictions.one("demo_model_1", row).prediction is not None
        assert float(anyone.predictions.one("demo_model_2", row).prediction) == pytest.approx(
            float(anyone.predictions.one("demo_model_2", row).prediction)
        )
