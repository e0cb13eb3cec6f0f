"""`modelmill up | down | status | logs | flower` and those of `care`: plugged into the SDK's command (`modelmill.commands`)."""

import json
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mill_local import control
from mill_local.care import cli as care
from mill_local.errors import StackProblem
from mill_local.flower import FLOWER_PORT, USER, running_flower
from mill_local.home import Home, StackState, read_state
from mill_local.plan import API_PORT, SERVING_PORT, StackOptions
from mill_local.ports import LOOPBACK
from mill_local.supervisor import Supervisor

HomeOption = Annotated[Path, typer.Option("--home", envvar="MODELMILL_HOME", help="The folder that holds all data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_HOME = Path(".modelmill")
LOG_LINES = 30
FOLLOW_SECONDS = 0.3


def commands(app: typer.Typer) -> None:
    """Add them to `app`."""
    for function in (up, down, status, logs, flower):
        app.command()(function)
    care.commands(app)


def up(
    home: HomeOption = DEFAULT_HOME,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is ready.")] = False,
    host: Annotated[str, typer.Option(help="The address the services listen on.")] = LOOPBACK,
    api_port: Annotated[int, typer.Option(help="The api-server's port; the next free one when taken.")] = API_PORT,
    serving_port: Annotated[
        int, typer.Option(help="The ml-service's port; the next free one when taken.")
    ] = SERVING_PORT,
    as_json: JsonOption = False,
    background: Annotated[
        bool, typer.Option(hidden=True, help="Started by --detach, which shows the parts itself.")
    ] = False,
) -> None:
    """Start the embedded stack: PostgreSQL, Valkey, api-server, workers and ml-service, without Docker."""
    place = Home(home.absolute())
    console = Console(stderr=as_json, highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    with friendly():
        if detach:
            options = ["--host", host, "--api-port", str(api_port), "--serving-port", str(serving_port)]
            show(control.start_detached(place, options, say), as_json)
            return
        supervisor = Supervisor(place, StackOptions(host, api_port, serving_port), say)
        supervisor.run(lambda state: None if background else show(state, as_json, hint="Ctrl-C stops it"))


def down(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Stop the embedded stack; all data stays."""
    with friendly():
        state = control.stop(Home(home.absolute()))
        answer = json.dumps({"stopped": state.pid}) if as_json else "The stack is stopped; its data stays."
        typer.echo(answer)


def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the parts of the embedded stack. Ends with 3 when it is not running."""
    state = read_state(Home(home.absolute()))
    if state is None:
        typer.echo(json.dumps({"state": "down"}) if as_json else "The stack is not running: `modelmill up` starts it.")
        raise typer.Exit(3)
    show(state, as_json)


def logs(
    part: Annotated[str | None, typer.Argument(help="api-server, ml-service, worker-ml, …; all when left out.")] = None,
    home: HomeOption = DEFAULT_HOME,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = LOG_LINES,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the last lines of the parts' logs."""
    place = Home(home.absolute())
    known = {path.stem: path for path in sorted(place.logs.glob("*.log"))}
    chosen = known if part is None else {name: path for name, path in known.items() if name == part}
    with friendly():
        if not chosen:
            raise StackProblem(f"there is no log of {part or 'any part'}; there are: {', '.join(known) or 'none'}")
        offsets = {name: print_tail(name, path, lines, alone=part is not None) for name, path in chosen.items()}
        while follow:
            time.sleep(FOLLOW_SECONDS)
            for name, path in chosen.items():
                offsets[name] = print_from(name, path, offsets[name], alone=part is not None)


def flower(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help="Flower's port; the next free one when taken.")] = FLOWER_PORT,
) -> None:
    """Watch the workers in a browser, until Ctrl-C. The user is admin, the password is new each time."""
    place = Home(home.absolute())
    with friendly(), running_flower(place, control.running(place), port=port) as console:
        typer.echo(f"Flower   {console.url}\nUser     {USER}\nPassword {console.password}\nCtrl-C stops it")
        sys.stdout.flush()
        console.wait()


@contextmanager
def friendly() -> Generator[None]:
    """A problem becomes one message and exit code 1; Ctrl-C ends quietly."""
    try:
        yield
    except StackProblem as problem:
        typer.echo(f"{problem.title}: {problem}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"The embedded stack cannot use its folder: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def show(state: StackState, as_json: bool, hint: str | None = None) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(state)))
        sys.stdout.flush()
        return
    table = Table("part", "state", "process", "port", "restarts", box=None)
    for part in state.parts:
        table.add_row(part.name, part.state, str(part.pid or "–"), str(part.port or "–"), str(part.restarts))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"API         {state.api_url}   (description: {state.api_url}/docs)")
    console.print(f"Predictions {state.serving_url}   (description: {state.serving_url}/docs)")
    if hint:
        console.print(hint)


def print_tail(name: str, path: Path, lines: int, *, alone: bool) -> int:
    content = path.read_bytes()
    for line in content.decode(errors="replace").splitlines()[-lines:] if lines else []:
        typer.echo(line if alone else f"{name}: {line}")
    return len(content)


def print_from(name: str, path: Path, offset: int, *, alone: bool) -> int:
    """Print the whole lines after `offset`; a log that shrank was emptied and begins anew."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(offset if size >= offset else 0)
        content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.decode(errors="replace").splitlines():
            typer.echo(line if alone else f"{name}: {line}")
        return stream.tell() - len(content) + len(whole)
