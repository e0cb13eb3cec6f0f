"""`cli.md`: every command of `modelmill` with its arguments and options, read from the command line itself."""

from collections.abc import Iterator
from typing import Any

import typer.main
from modelmill.cli._app import build

from _generate.markdown import code, page, table

INTRODUCTION = """\
`modelmill COMMAND --help` says the same. Errors are one line on standard error; the exit code is 0 for success, 1 for a
refusal or a failure, 2 for wrong usage. `modelmill status` ends with 3 when the embedded stack is not running."""
ENVIRONMENT = (
    ("MODELMILL_URL", "the api-server; else the one `modelmill login` noted, else `http://127.0.0.1:8000`"),
    ("MODELMILL_SERVING_URL", "ml-service: predictions go straight there instead of through the api-server"),
    ("MODELMILL_API_KEY", "an API key, used instead of the signed-in user"),
    ("MODELMILL_CONFIG", "the file with the tokens; else `~/.config/modelmill/credentials.json`, mode 0600"),
    ("MODELMILL_HOME", "the folder of the embedded stack, else `.modelmill`"),
)


def cli_page() -> str:
    root: Any = typer.main.get_command(build())
    return page(
        "The modelmill command",
        INTRODUCTION,
        table(["variable", "meaning"], ((code(name), text) for name, text in ENVIRONMENT)),
        *_commands(root, "modelmill"),
    )


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        elif not command.hidden:
            yield from _command(command, f"{path} {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option"]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *(_argument(one) for one in arguments)])
    yield f"## {path}"
    yield str(command.help or "").strip()
    yield f"```\n{usage}\n```"
    rows = [(code(_argument(one)), _help(one)) for one in arguments]
    rows += [(", ".join(code(name) for name in _names(one)), _help(one)) for one in options]
    if rows:
        yield table(["", "meaning"], rows)


def _argument(argument: Any) -> str:
    name = str(argument.metavar or argument.name).upper().strip("[].")
    many = "..." if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}]{many}"


def _names(option: Any) -> list[str]:
    value = "" if option.is_flag else f" {option.name.upper()}"
    names = sorted([*option.opts, *option.secondary_opts], key=len, reverse=True)
    return [f"{names[0]}{value}", *names[1:]]


def _help(parameter: Any) -> str:
    text = str(parameter.help or "").strip()
    default = parameter.default
    notes: list[str] = []
    if parameter.required and parameter.param_type_name == "option":
        notes.append("required")
    if isinstance(default, str | int | float) and not isinstance(default, bool) and str(default) not in ("", text):
        notes.append(f"default {code(str(default))}")
    if parameter.envvar:
        notes.append(f"or {code(str(parameter.envvar))}")
    return f"{text} ({'; '.join(notes)})" if notes and text else text or "; ".join(notes)
