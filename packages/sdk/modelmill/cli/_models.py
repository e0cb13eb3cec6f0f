"""`modelmill train | adopt | models … | leaderboard | deploy | undeploy | rollback`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from modelmill._client import Client
from modelmill._types import Extra, Missing, Model, ModelVersion, Unseen
from modelmill.cli._data import MaybeProject, ProjectOption, find_dataset, find_project, project_id
from modelmill.cli._output import (
    JobBar,
    JsonOption,
    friendly,
    is_id,
    job_progress,
    print_json,
    print_table,
    print_view,
    print_whole,
    text,
)
from modelmill.cli._session import signed_in

MODEL_FIELDS = ("name", "version", "status", "framework", "algorithm", "target", "id")
DEPLOYMENT_DETAIL = (
    "model_name",
    "version",
    "status",
    "waiting_for",
    "public",
    "policy",
    "predict_path",
    "replicas",
    "id",
)
MODEL_DETAIL = (*MODEL_FIELDS, "target_reason", "metrics", "job_id", "project_id", "problem")
BOARD_METRICS = ("roc_auc", "log_loss", "accuracy", "rmse", "mae", "r2")


def register(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(adopt)
    models = typer.Typer(no_args_is_help=True, help="Trained models and their versions.")
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("delete")(delete_model)
    app.add_typer(models, name="models")
    app.command()(leaderboard)
    app.command()(deploy)
    app.command()(undeploy)
    app.command()(rollback)


def find_model(client: Client, word: str) -> Model:
    return client.models.get(word) if is_id(word) else client.models.named(word)


def train(
    name: Annotated[str, typer.Argument(help="A known name makes its next version.")],
    project: ProjectOption,
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Name or id.")],
    framework: Annotated[str, typer.Option(help="scikit-learn, xgboost or lightgbm.")] = "scikit-learn",
    algorithm: Annotated[str | None, typer.Option(help="The framework's default when left out.")] = None,
    model_type: Annotated[str, typer.Option("--type", help="classification or regression.")] = "classification",
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-P", help="name=value, the library's own names.")
    ] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is trained.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Train a model."""
    with friendly(as_json), signed_in() as client:
        model = client.models.train(
            name,
            project_id=find_project(client, project).id,
            dataset_id=find_dataset(client, dataset).id,
            model_type=model_type,
            framework=framework,
            algorithm=algorithm,
            target=target,
            parameters=parse_parameters(parameter or ()),
            seed=seed,
            exclude=exclude,
        )
        if wait:
            with job_progress(as_json) as bars:
                model = client.models.wait(model, on_event=JobBar(bars, name).on_event)
        print_view(model, MODEL_DETAIL, as_json)


def adopt(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="XGBoost, LightGBM, ONNX or skops.")],
    framework: Annotated[str, typer.Option(help="xgboost, lightgbm, onnx or scikit-learn.")],
    project: MaybeProject = None,
    name: Annotated[
        str | None, typer.Option(help="The file's own when left out; a known name makes its next version.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Make it the next version of this model (name or id).")] = None,
    model_type: Annotated[str, typer.Option("--type", help="classification or regression.")] = "classification",
    signature: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON: features, classes, target.")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON: a list of rows as clients send them.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is validated.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Upload a model trained elsewhere. Pickle and joblib are never accepted."""
    with friendly(as_json), signed_in() as client:
        found = find_model(client, model) if model else None
        if found is None and project is None:
            raise ValueError("say which project it belongs to (--project), or which model it is a version of (--model)")
        uploaded = client.models.upload_file(
            file,
            framework=framework,
            name=name,
            project_id=project_id(client, project) if found is None else None,
            model_type=model_type,
            model_id=found.id if found else None,
            signature=json.loads(signature.read_text()) if signature else None,
            sample_rows=json.loads(samples.read_text()) if samples else (),
        )
        if wait:
            with job_progress(as_json) as bars:
                uploaded = client.models.wait(uploaded, on_event=JobBar(bars, uploaded.name).on_event)
        print_view(uploaded, MODEL_DETAIL, as_json)


def list_models(project: MaybeProject = None, as_json: JsonOption = False) -> None:
    """List models, newest first."""
    with friendly(as_json), signed_in() as client:
        print_table(client.models.list(project_id=project_id(client, project)), MODEL_FIELDS, as_json)


def show_model(model: str, as_json: JsonOption = False) -> None:
    """Show a model, by name or id."""
    with friendly(as_json), signed_in() as client:
        print_view(find_model(client, model), MODEL_DETAIL, as_json)


def delete_model(
    model: str, yes: Annotated[bool, typer.Option("--yes", "-y")] = False, as_json: JsonOption = False
) -> None:
    """Delete a model with all its versions."""
    with friendly(as_json), signed_in() as client:
        found = find_model(client, model)
        if not yes:
            typer.confirm(f"Delete model {found.name!r} with all its versions?", abort=True)
        client.models.delete(found.id)
        print_json({"deleted": found.id}) if as_json else typer.echo(f"Deleted {found.name}.")


def leaderboard(
    project: ProjectOption,
    metric: Annotated[str | None, typer.Option(help="ROC AUC, else accuracy, else RMSE when left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare trained models on their hold-out rows."""
    with friendly(as_json), signed_in() as client:
        found = client.models.leaderboard(project_id=find_project(client, project).id, metric=metric)
        if as_json:
            print_json([dict(model.raw) for model in found])
        else:
            print_whole(board(found))


def board(models: Sequence[ModelVersion]) -> Table:
    """The leaderboard as a table: hold-out metrics, fit seconds, µs per prediction."""
    shown = [name for name in BOARD_METRICS if any(name in model.metrics for model in models)]
    table = Table("model", "algorithm", *shown, "fit s", "µs/prediction", "status", box=None)
    for model in models:
        figures = [text(model.metrics.get(name)) for name in shown]
        cost = "–" if model.microseconds_per_row is None else f"{model.microseconds_per_row:.1f}"
        fit = "–" if model.fit_seconds is None else f"{model.fit_seconds:.2f}"
        table.add_row(
            f"{model.name}@{model.version}", f"{model.framework} {model.algorithm}", *figures, fit, cost, model.status
        )
    return table


def deploy(
    model: str,
    version: Annotated[int | None, typer.Option(help="The latest when left out.")] = None,
    public: Annotated[bool | None, typer.Option(help="Callable without a key.")] = None,
    missing: Annotated[
        Missing | None, typer.Option(help="Features left out or null where training never saw them missing.")
    ] = None,
    extra: Annotated[Extra | None, typer.Option(help="Values of no feature of the model.")] = None,
    unseen: Annotated[Unseen | None, typer.Option(help="Categories that training never saw.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until every replica serves it.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Put a model to work; while it trains, this happens when it is trained."""
    with friendly(as_json), signed_in() as client:
        found = find_model(client, model)
        deployment = client.models.deploy(
            found.id, version=version, public=public, missing=missing, extra=extra, unseen=unseen
        )
        if wait and deployment.waiting_for is None:
            deployment = client.models.wait_deployed(found.id)
        print_view(deployment, DEPLOYMENT_DETAIL, as_json)


def undeploy(model: str, as_json: JsonOption = False) -> None:
    """Take a model out of work; its versions stay."""
    with friendly(as_json), signed_in() as client:
        found = find_model(client, model)
        client.models.undeploy(found.id)
        print_json({"undeployed": found.id}) if as_json else typer.echo(f"{found.name} is out of work.")


def rollback(model: str, as_json: JsonOption = False) -> None:
    """Back to the version deployed before."""
    with friendly(as_json), signed_in() as client:
        print_view(client.models.rollback(find_model(client, model).id), DEPLOYMENT_DETAIL, as_json)


def parse_parameters(words: Sequence[str]) -> dict[str, Any]:
    """`max_depth=6` as JSON where it is JSON, else as text. Raises `ValueError` for a word without `=`."""
    parsed: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word!r} is not name=value")
        parsed[name] = parse_value(value)
    return parsed


def parse_value(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
