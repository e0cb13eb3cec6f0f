"""`modelmill backup | restore | doctor | erase`. Added to the command by `mill_local.cli`."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from mill_kit.problems import Problem
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mill_local.care.backup import Summary, Tell, back_up
from mill_local.care.doctor import Check, Verdict, examine
from mill_local.care.erase import erase
from mill_local.care.errors import NotEmpty
from mill_local.care.installation import Addresses, installation
from mill_local.care.restore import restore
from mill_local.files import write_private
from mill_local.home import Home

HomeOption = Annotated[Path, typer.Option("--home", envvar="MODELMILL_HOME", help="The folder that holds all data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="MODELMILL_DATABASE_URL",
        help="For a stack elsewhere: its database, as a role that sees every row (the superuser).",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store-url", envvar="MODELMILL_STORE_URL", help="For a stack elsewhere: its object store."),
]
AccessKeyOption = Annotated[
    str | None, typer.Option("--store-access-key", envvar="MILL_STORE__ACCESS_KEY", help="Of an S3 store.")
]
SecretKeyOption = Annotated[
    str | None, typer.Option("--store-secret-key", envvar="MILL_STORE__SECRET_KEY", help="Of an S3 store.")
]
DEFAULT_HOME = Path(".modelmill")


def commands(app: typer.Typer) -> None:
    app.command()(backup)
    app.command("restore")(restore_command)
    app.command()(doctor)
    app.command("erase")(erase_command)


def backup(
    target: Annotated[Path, typer.Argument(help="A new folder for the backup.")],
    home: HomeOption = DEFAULT_HOME,
    database_url: DatabaseOption = None,
    store_url: StoreOption = None,
    store_access_key: AccessKeyOption = None,
    store_secret_key: SecretKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the database and all objects of one moment into a folder. The stack may go on working."""
    given = Addresses(database_url, store_url, store_access_key, store_secret_key)
    with friendly(), installation(Home(home.absolute()), given) as source, progress() as tell:
        summary = back_up(source, target.absolute(), tell)
    _say(summary, as_json, f"Backed up to {target}")


def restore_command(
    source: Annotated[Path, typer.Argument(help="The folder of a backup.")],
    home: HomeOption = DEFAULT_HOME,
    database_url: DatabaseOption = None,
    store_url: StoreOption = None,
    store_access_key: AccessKeyOption = None,
    store_secret_key: SecretKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup into an empty folder, or into an empty database and object store."""
    given = Addresses(database_url, store_url, store_access_key, store_secret_key)
    with friendly(), progress() as tell:
        summary = restore(source.absolute(), Home(home.absolute()), given, tell)
    _say(summary, as_json, f"Restored the backup of {summary.created}")


def doctor(
    home: HomeOption = DEFAULT_HOME,
    database_url: DatabaseOption = None,
    store_url: StoreOption = None,
    store_access_key: AccessKeyOption = None,
    store_secret_key: SecretKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything, change nothing: rows, objects, models, clock, disk. Ends with 1 when a check fails."""
    given = Addresses(database_url, store_url, store_access_key, store_secret_key)
    with friendly(), installation(Home(home.absolute()), given) as patient, progress() as tell:
        checks = list(examine(patient, tell))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            _print(check)
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise typer.Exit(1)


def erase_command(
    who: Annotated[str, typer.Argument(help="The e-mail address or the username.")],
    receipt: Annotated[
        Path | None, typer.Option("--receipt", help="A new file for the receipt; else it is printed.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = DEFAULT_HOME,
    database_url: DatabaseOption = None,
    store_url: StoreOption = None,
    store_access_key: AccessKeyOption = None,
    store_secret_key: SecretKeyOption = None,
) -> None:
    """Erase a person: their account, their own workspaces with all data and models. It cannot be undone."""
    if not yes:
        typer.confirm(f"Erase {who} and everything that is theirs alone, for ever?", abort=True)
    given = Addresses(database_url, store_url, store_access_key, store_secret_key)
    with friendly(), installation(Home(home.absolute()), given) as source:
        if receipt is not None and receipt.exists():
            raise NotEmpty(f"{receipt} exists: name a new file")
        text = json.dumps(asdict(erase(source, who)), indent=2)
        if receipt is not None:
            write_private(receipt.absolute(), text + "\n")
            typer.echo(f"Erased; the receipt is in {receipt}")
        else:
            typer.echo(text)


@contextmanager
def friendly() -> Generator[None]:
    """A problem becomes one message and exit code 1."""
    try:
        yield
    except Problem as problem:
        typer.echo(f"{problem.title}: {problem.detail}", err=True)
        raise typer.Exit(1) from None
    except (OSError, ValueError) as error:
        typer.echo(f"This cannot be done: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def progress() -> Generator[Tell]:
    """Bars on a terminal's standard error; silence in a pipe."""
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
        disable=not console.is_terminal,
    )  # fmt: skip
    known: dict[str, TaskID] = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in known:
            known[what] = bars.add_task(what, total=total)
        bars.update(known[what], completed=done, total=total)

    with bars:
        yield tell


def _say(summary: Summary, as_json: bool, words: str) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
        return
    mebibytes = (summary.database_bytes + summary.object_bytes) / 2**20
    typer.echo(
        f"{words}: the database at migration {summary.migration}, {summary.objects} objects, {mebibytes:.1f} MiB"
    )


def _print(check: Check) -> None:
    mark = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.FAILED: "✗"}[check.verdict]
    typer.echo(f"{mark} {check.name:<12} {check.detail}")
    if check.verdict is not Verdict.OK:
        for finding in check.findings:
            typer.echo(f"  {finding}")
