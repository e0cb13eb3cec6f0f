"""The Python client from registering to rolling back, against a running stack (`modelmill up`).

    python examples/python_client_demo.py [--url http://127.0.0.1:8000] [--serving-url http://127.0.0.1:8001]

Each part of the API has its attribute: `auth`, `projects`, `datasets`, `models`, `jobs`, `predictions`, `batch`.
"""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from modelmill import Client, InvalidRequest, JobEvent, ModelmillError

DATA = Path(__file__).parent / "data" / "titanic.csv"


def main() -> int:
    parser = argparse.ArgumentParser(description="The whole journey with the Python client")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--serving-url", default="http://127.0.0.1:8001")
    options = parser.parse_args()
    username, password = f"ada-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    try:
        with Client(options.url) as anyone:
            anyone.auth.register(email=f"{username}@example.org", username=username, password=password)
        with Client(options.url, username=username, password=password, serving_url=options.serving_url) as mill:
            journey(mill)
    except ModelmillError as error:
        print(f"failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def journey(mill: Client) -> None:
    me = mill.auth.me()
    print(f"signed in as {me.username}, {me.role} of a personal workspace")

    project = mill.projects.create("Titanic", description="Who survived?", tags=["example"])
    dataset = mill.datasets.upload(DATA, project_id=project.id, name="titanic", progress=show_bytes)
    dataset = mill.datasets.wait(dataset)
    print(f"\n{dataset.name} v{dataset.version}: {dataset.rows} rows, {len(dataset.columns)} columns, {dataset.status}")

    model = mill.models.train(
        f"survival-{me.username}",
        project_id=project.id,
        dataset_id=dataset.id,
        framework="lightgbm",
        target="survived",
        exclude=["alive"],  # says the same as the target
        parameters={"n_estimators": 60, "learning_rate": 0.1},
    )
    model = mill.models.wait(model, timeout=300, on_event=show_event)
    print(f"{model.name} v{model.version}: ROC AUC {(model.metrics or {})['roc_auc']:.4f} on rows it was not fitted on")

    mill.models.deploy(model.id)
    print(f"deployment: {mill.models.wait_deployed(model.id).status}")
    row = first_row(mill, dataset.id)
    answer = mill.predictions.one(model.name, row)
    print(f"prediction {answer.prediction}, confidence {answer.confidence_score}, {answer.processing_time} ms")
    refused(mill, model.name, row)

    key = mill.auth.create_key("scoring", scopes=["predict"])
    if key.key is not None:
        with Client(mill.url, api_key=key.key) as application:
            print(f"through the api-server with an API key: {application.predictions.one(model.name, row).prediction}")

    batch = mill.batch.wait(mill.batch.score_dataset(model.id, dataset.id, output_format="csv"))
    with tempfile.TemporaryDirectory() as folder:
        result = mill.batch.download(batch, Path(folder) / "predictions.csv")
        print(f"batch: {len(result.read_text().splitlines()) - 1} rows scored")
    mill.models.undeploy(model.id)
    mill.projects.delete(project.id)
    print("tidied up")


def first_row(mill: Client, dataset_id: str) -> dict[str, object]:
    page = mill.datasets.preview(dataset_id, limit=1)
    row = dict(zip(page["columns"], page["rows"][0], strict=True))
    return {name: value for name, value in row.items() if name not in {"survived", "alive"}}


def refused(mill: Client, name: str, row: dict[str, object]) -> None:
    try:
        mill.predictions.one(name, {**row, "age": "old"})
    except InvalidRequest as refusal:
        print(f"as it should be, refused: {refusal.detail}")


def show_bytes(sent: int, total: int | None) -> None:
    print(f"\ruploaded {sent:,} of {total or sent:,} bytes", end="", flush=True)


def show_event(event: JobEvent) -> None:
    if event.kind in {"state", "stage"}:
        print(f"  {event.kind}: {event.data.get(event.kind)}")


if __name__ == "__main__":
    sys.exit(main())
