"""How commands answer: a table for people, `--json` for programs, one friendly message for an error."""

import json
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from modelmill._errors import ApiError, AuthenticationError, ConnectionFailed, ModelmillError, WrongCredentials
from modelmill._types import JobEvent, View

WIDEST = 100_000
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_view(view: View, fields: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json(dict(view.raw))
        return
    for name in fields:
        value = view.raw.get(name)
        if value is not None:
            typer.echo(f"{name:<16}{text(value)}")


def print_table(views: Iterable[View], fields: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json([dict(view.raw) for view in views])
        return
    table = Table(*[name.replace("_", " ") for name in fields], box=None)
    for view in views:
        table.add_row(*[text(view.raw.get(name)) for name in fields])
    print_whole(table)


def print_whole(table: Table) -> None:
    """Every row is one line and every cell whole, for pipes and for copying; a narrow terminal wraps the line itself."""
    Console(highlight=False, markup=False, width=WIDEST).print(table, soft_wrap=True)


def text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


@contextmanager
def friendly(as_json: bool = False) -> Generator[None]:
    """An error of ours becomes a message on stderr and exit code 1; Ctrl-C ends with 130."""
    try:
        yield
    except ModelmillError as error:
        _report(error, as_json)
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _report(error: ModelmillError, as_json: bool) -> None:
    if as_json:
        document = (
            error.document if isinstance(error, ApiError) else {"title": type(error).__name__, "detail": str(error)}
        )
        typer.echo(json.dumps(document, ensure_ascii=False), err=True)
        return
    typer.echo(f"error: {error}", err=True)
    if isinstance(error, AuthenticationError) and not isinstance(error, WrongCredentials):
        typer.echo("Sign in with `modelmill login`, or set MODELMILL_API_KEY.", err=True)
    elif isinstance(error, ConnectionFailed):
        typer.echo(
            "Is the server running? `modelmill status` shows the embedded stack, `modelmill up` starts it.", err=True
        )


class JobBar:
    """A progress bar fed by a job's events; without a true figure it only moves."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._name = description
        self._task = progress.add_task(description, total=None)

    def on_event(self, event: JobEvent) -> None:
        stage, done = event.data.get("stage"), event.data.get("progress")
        if isinstance(stage, str):
            self._progress.update(self._task, description=f"{self._name}: {stage}")
        if isinstance(done, (int, float)):
            self._progress.update(self._task, total=1.0, completed=float(done))
        if event.data.get("state") == "succeeded":
            self._progress.update(self._task, description=self._name, total=1.0, completed=1.0)


class UploadBar:
    """A progress bar in bytes."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=None)

    def __call__(self, sent: int, total: int | None) -> None:
        self._progress.update(self._task, completed=sent, total=total)


def job_progress(quiet: bool = False) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(file=sys.stderr), disable=quiet)


def upload_progress(quiet: bool = False) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    return Progress(*columns, console=Console(file=sys.stderr), disable=quiet)


def is_id(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True
