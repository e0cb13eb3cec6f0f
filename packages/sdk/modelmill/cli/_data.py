"""`modelmill projects … | upload | datasets …`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from modelmill._client import Client
from modelmill._types import Dataset, Project
from modelmill.cli._output import (
    JobBar,
    JsonOption,
    UploadBar,
    friendly,
    is_id,
    job_progress,
    print_json,
    print_table,
    print_view,
    upload_progress,
)
from modelmill.cli._people import WhoArgument, find_member
from modelmill.cli._session import signed_in

ProjectOption = Annotated[str, typer.Option("--project", "-p", help="Name or id of the project.")]
MaybeProject = Annotated[str | None, typer.Option("--project", "-p", help="Name or id of the project.")]
NamedRole = Literal["viewer", "editor"]
PROJECT_FIELDS = ("name", "description", "tags", "created_at", "id")
DATASET_FIELDS = ("name", "version", "status", "rows", "size_bytes", "id")
DATASET_DETAIL = (
    "name",
    "version",
    "status",
    "rows",
    "size_bytes",
    "sha256",
    "project_id",
    "job_id",
    "id",
    "problem",
    "warnings",
)


def register(app: typer.Typer) -> None:
    projects = typer.Typer(no_args_is_help=True, help="Projects hold datasets and models.")
    projects.command("list")(list_projects)
    projects.command("create")(create_project)
    projects.command("show")(show_project)
    projects.command("delete")(delete_project)
    projects.command("members")(project_members)
    projects.command("share")(share_project)
    projects.command("unshare")(unshare_project)
    projects.command("hand-over")(hand_over_project)
    app.add_typer(projects, name="projects")
    app.command()(upload)
    datasets = typer.Typer(no_args_is_help=True, help="Datasets are uploaded tables.")
    datasets.command("list")(list_datasets)
    datasets.command("show")(show_dataset)
    datasets.command("preview")(preview)
    datasets.command("download")(download)
    datasets.command("delete")(delete_dataset)
    app.add_typer(datasets, name="datasets")


def find_project(client: Client, word: str) -> Project:
    return client.projects.get(word) if is_id(word) else client.projects.named(word)


def find_dataset(client: Client, word: str) -> Dataset:
    return client.datasets.get(word) if is_id(word) else client.datasets.named(word)


def project_id(client: Client, word: str | None) -> str | None:
    return None if word is None else find_project(client, word).id


def list_projects(as_json: JsonOption = False) -> None:
    """List the workspace's projects."""
    with friendly(as_json), signed_in() as client:
        print_table(client.projects.list(), PROJECT_FIELDS, as_json)


def create_project(
    name: str,
    description: Annotated[str, typer.Option()] = "",
    tag: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a project."""
    with friendly(as_json), signed_in() as client:
        print_view(client.projects.create(name, description=description, tags=tag or ()), PROJECT_FIELDS, as_json)


def show_project(project: str, as_json: JsonOption = False) -> None:
    """Show a project, by name or id."""
    with friendly(as_json), signed_in() as client:
        print_view(find_project(client, project), PROJECT_FIELDS, as_json)


def delete_project(
    project: str,
    yes: Annotated[bool, typer.Option("--yes", "-y")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also when models of it are live.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a project with its datasets and models."""
    with friendly(as_json), signed_in() as client:
        found = find_project(client, project)
        if not yes:
            contents = ", ".join(
                f"{count} {kind}" for kind, count in client.projects.deletion(found.id).items() if count
            )
            typer.confirm(f"Delete project {found.name!r} with {contents or 'nothing in it'}?", abort=True)
        client.projects.delete(found.id, force=force)
        print_json({"deleted": found.id}) if as_json else typer.echo(f"Deleted {found.name}.")


def project_members(project: str, as_json: JsonOption = False) -> None:
    """List who is named in a project; all others have its default role."""
    with friendly(as_json), signed_in() as client:
        found = find_project(client, project)
        print_table(client.projects.members(found.id), ("username", "email", "role", "user_id"), as_json)


def share_project(project: str, who: WhoArgument, role: NamedRole, as_json: JsonOption = False) -> None:
    """Name a member of the workspace as viewer or editor of a project."""
    with friendly(as_json), signed_in() as client:
        member = find_member(client, who).user_id
        named = client.projects.put_member(find_project(client, project).id, member, role)
        print_view(named, ("username", "role", "user_id"), as_json)


def unshare_project(project: str, who: WhoArgument, as_json: JsonOption = False) -> None:
    """Give somebody the project's default role again."""
    with friendly(as_json), signed_in() as client:
        member = find_member(client, who)
        client.projects.remove_member(find_project(client, project).id, member.user_id)
        print_json({"removed": member.user_id}) if as_json else typer.echo(f"Removed {member.username}.")


def hand_over_project(project: str, who: WhoArgument, as_json: JsonOption = False) -> None:
    """Make another member of the workspace the owner of a project."""
    with friendly(as_json), signed_in() as client:
        member = find_member(client, who).user_id
        handed = client.projects.hand_over(find_project(client, project).id, member)
        print_view(handed, (*PROJECT_FIELDS, "owner_id"), as_json)


def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, JSON, NDJSON (also .gz) or Parquet.")],
    project: ProjectOption,
    name: Annotated[str | None, typer.Option(help="A known name makes its next version.")] = None,
    description: Annotated[str, typer.Option()] = "",
    tag: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the table has been read.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Upload a table as a dataset."""
    with friendly(as_json), signed_in() as client:
        with upload_progress(as_json) as bars:
            dataset = client.datasets.upload(
                file,
                project_id=find_project(client, project).id,
                name=name,
                description=description,
                tags=tag or (),
                progress=UploadBar(bars, file.name),
            )
        if wait:
            with job_progress(as_json) as bars:
                dataset = client.datasets.wait(dataset, on_event=JobBar(bars, "profile").on_event)
        print_view(dataset, DATASET_DETAIL, as_json)


def list_datasets(project: MaybeProject = None, as_json: JsonOption = False) -> None:
    """List datasets, newest first."""
    with friendly(as_json), signed_in() as client:
        print_table(client.datasets.list(project_id=project_id(client, project)), DATASET_FIELDS, as_json)


def show_dataset(dataset: str, as_json: JsonOption = False) -> None:
    """Show a dataset and its columns, by name or id."""
    with friendly(as_json), signed_in() as client:
        found = find_dataset(client, dataset)
        print_view(found, DATASET_DETAIL, as_json)
        if not as_json:
            for column in found.columns:
                typer.echo(
                    f"  {column['name']:<24}{column['kind']:<10}missing {column['missing']}, distinct {column['distinct']}"
                )


def preview(
    dataset: str, rows: Annotated[int, typer.Option("--rows", "-n", min=1)] = 10, as_json: JsonOption = False
) -> None:
    """Show the first rows."""
    with friendly(as_json), signed_in() as client:
        page = client.datasets.preview(find_dataset(client, dataset).id, limit=rows)
        if as_json:
            print_json(page)
            return
        for row in [page["columns"], *page["rows"]]:
            typer.echo("\t".join("" if value is None else str(value) for value in row))


def download(
    dataset: str,
    to: Annotated[Path, typer.Argument(dir_okay=False)],
    parquet: Annotated[
        bool, typer.Option("--parquet", help="The canonical table instead of the uploaded file.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download a dataset's file."""
    with friendly(as_json), signed_in() as client:
        found = find_dataset(client, dataset)
        client.datasets.download(found.id, to, format="parquet" if parquet else "raw")
        print_json({"file": str(to)}) if as_json else typer.echo(f"Saved {to}.")


def delete_dataset(
    dataset: str, yes: Annotated[bool, typer.Option("--yes", "-y")] = False, as_json: JsonOption = False
) -> None:
    """Delete a dataset with all its versions."""
    with friendly(as_json), signed_in() as client:
        found = find_dataset(client, dataset)
        if not yes:
            typer.confirm(f"Delete dataset {found.name!r} with all its versions?", abort=True)
        client.datasets.delete(found.id)
        print_json({"deleted": found.id}) if as_json else typer.echo(f"Deleted {found.name}.")
