"""`modelmill predict | profile | batch`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from modelmill._types import Prediction
from modelmill.cli._data import find_dataset
from modelmill.cli._models import find_model, parse_parameters
from modelmill.cli._output import (
    JobBar,
    JsonOption,
    UploadBar,
    friendly,
    job_progress,
    print_json,
    print_table,
    print_view,
    text,
    upload_progress,
)
from modelmill.cli._session import signed_in

PROFILE_FIELDS = (
    "transaction_id",
    "latency_ms",
    "inference_ms",
    "cpu_ms",
    "memory_bytes",
    "memory_delta_bytes",
    "function_calls",
)


def register(app: typer.Typer) -> None:
    app.command()(predict)
    app.command()(profile)
    app.command()(batch)
    batches = typer.Typer(no_args_is_help=True, help="Batch predictions that were asked for.")
    batches.command("list")(list_batches)
    batches.command("delete")(delete_batch)
    app.add_typer(batches, name="batches")


def predict(
    model: Annotated[str, typer.Argument(help="Id, name or name@version.")],
    feature: Annotated[list[str] | None, typer.Argument(help="feature=value …")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="A JSON object or a list of them; - reads standard input.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict one row given as feature=value, or the rows of a JSON file."""
    with friendly(as_json), signed_in() as client:
        rows = parse_rows(file) if file else [parse_parameters(feature or ())]
        answers = [client.predictions.one(model, row) for row in rows]
        if as_json:
            documents = [dict(answer.raw) for answer in answers]
            print_json(documents if file else documents[0])
            return
        for answer in answers:
            typer.echo(describe(answer))


def profile(
    model: Annotated[str, typer.Argument(help="Id, name or name@version.")],
    feature: Annotated[list[str] | None, typer.Argument(help="feature=value …")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict one row and show what it cost, where the operator of ml-service allows it."""
    with friendly(as_json), signed_in() as client:
        found = client.predictions.profile(model, parse_parameters(feature or ()))
        print_view(found, PROFILE_FIELDS, as_json)
        slowest: list[dict[str, Any]] = [] if as_json else found.raw["top_functions"][:10]
        for slow in slowest:
            typer.echo(f"{slow['own_ms']:>10.4f} ms {slow['calls']:>6} × {slow['function']}")


def batch(
    model: Annotated[str, typer.Argument(help="Name or id.")],
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="A .parquet or .csv file.")],
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Name or id of a dataset.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="A file instead.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a whole dataset or file and save its rows with the predictions."""
    with friendly(as_json), signed_in() as client:
        found = find_model(client, model)
        wanted = "csv" if output.suffix == ".csv" else "parquet"
        if (dataset is None) == (file is None):
            raise ValueError("give either --dataset or --file")
        if file is not None:
            with upload_progress(as_json) as bars:
                started = client.batch.score_file(
                    found.id, file, output_format=wanted, progress=UploadBar(bars, file.name)
                )
        else:
            dataset_id = find_dataset(client, dataset or "").id
            started = client.batch.score_dataset(found.id, dataset_id, output_format=wanted)
        with job_progress(as_json) as bars:
            done = client.batch.wait(started, on_event=JobBar(bars, "score").on_event)
        client.batch.download(done, output)
        print_json({"file": str(output), **dict(done.raw)}) if as_json else typer.echo(f"Saved {output}.")


def list_batches(as_json: JsonOption = False) -> None:
    """List batch predictions, newest first."""
    with friendly(as_json), signed_in() as client:
        print_table(client.batch.list(), ("id", "model_id", "status", "output_format", "job_id"), as_json)


def delete_batch(batch_id: str, as_json: JsonOption = False) -> None:
    """Delete a batch prediction with its file and its result."""
    with friendly(as_json), signed_in() as client:
        client.batch.delete(batch_id)
        print_json({"deleted": batch_id}) if as_json else typer.echo(f"Deleted {batch_id}.")


def parse_rows(file: str) -> list[dict[str, Any]]:
    document: object = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    rows = cast("list[object]", document) if isinstance(document, list) else [document]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{file} must hold a JSON object or a list of objects")
    return cast("list[dict[str, Any]]", rows)


def describe(answer: Prediction) -> str:
    sure = "" if answer.confidence_score is None else f"  (confidence {answer.confidence_score:.4f})"
    return f"{text(answer.prediction)}{sure}"
