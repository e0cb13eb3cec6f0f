"""`modelmill jobs list | show | cancel | retry | logs | follow`."""

from typing import Annotated, cast

import typer

from modelmill._errors import JobFailed
from modelmill._types import JobEvent
from modelmill.cli._output import JsonOption, friendly, print_json, print_table, print_view, text
from modelmill.cli._session import signed_in

JOB_FIELDS = ("kind", "state", "stage", "progress", "created_at", "id")
JOB_DETAIL = (
    "kind",
    "state",
    "stage",
    "progress",
    "attempt",
    "queue",
    "created_at",
    "started_at",
    "finished_at",
    "problem",
    "id",
)


def register(app: typer.Typer) -> None:
    jobs = typer.Typer(no_args_is_help=True, help="The long work behind uploads, trainings and batch predictions.")
    jobs.command("list")(list_jobs)
    jobs.command("show")(show)
    jobs.command("cancel")(cancel)
    jobs.command("retry")(retry)
    jobs.command("logs")(logs)
    jobs.command("follow")(follow)
    app.add_typer(jobs, name="jobs")


def list_jobs(
    state: Annotated[str | None, typer.Option(help="waiting, queued, running, succeeded, failed or cancelled.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    with friendly(as_json), signed_in() as client:
        print_table(client.jobs.list(state=state), JOB_FIELDS, as_json)


def show(job_id: str, as_json: JsonOption = False) -> None:
    """Show a job."""
    with friendly(as_json), signed_in() as client:
        print_view(client.jobs.get(job_id), JOB_DETAIL, as_json)


def cancel(job_id: str, as_json: JsonOption = False) -> None:
    """Cancel a job."""
    with friendly(as_json), signed_in() as client:
        print_view(client.jobs.cancel(job_id), JOB_DETAIL, as_json)


def retry(job_id: str, as_json: JsonOption = False) -> None:
    """Do the work of an ended job again, as a new job."""
    with friendly(as_json), signed_in() as client:
        print_view(client.jobs.retry(job_id), JOB_DETAIL, as_json)


def logs(job_id: str, as_json: JsonOption = False) -> None:
    """Print a job's log lines."""
    with friendly(as_json), signed_in() as client:
        if as_json:
            print_json([dict(line.raw) for line in client.jobs.logs(job_id)])
            return
        for line in client.jobs.logs(job_id):
            typer.echo(f"{line.at}  {line.level:<8}{line.message}")


def follow(job_id: str, as_json: JsonOption = False) -> None:
    """Print a job's events as they happen, until it ends; exit code 1 when it fails."""

    def say(event: JobEvent) -> None:
        if as_json:
            print_json({"kind": event.kind, **event.data})
        else:
            for line in lines_of(event):
                typer.echo(f"{event.kind:<10}{line}")

    with friendly(as_json), signed_in() as client:
        try:
            client.jobs.wait(job_id, on_event=say)
        except JobFailed as failure:
            typer.echo(str(failure), err=True)
            raise typer.Exit(1) from None


def lines_of(event: JobEvent) -> list[str]:
    """A log event holds several lines; any other is one line of its values, without the time."""
    lines: object = event.data.get("lines")
    if isinstance(lines, list):
        return [str(line["message"]) for line in cast("list[dict[str, object]]", lines)]
    return ["  ".join(text(value) for name, value in event.data.items() if name != "at")]
