"""Puts the commands together."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import cast

import typer

from modelmill.cli import _account, _data, _jobs, _models, _people, _predict

PLUGINS = "modelmill.commands"


def build() -> typer.Typer:
    """A fresh application with every command; a plug-in that does not load is reported and left out."""
    app = typer.Typer(
        name="modelmill",
        help="Modelmill: upload tables, train models, deploy them, predict.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for module in (_account, _people, _data, _models, _predict, _jobs):
        module.register(app)
    for plugin in sorted(entry_points(group=PLUGINS), key=lambda point: point.name):
        try:
            add = cast("Callable[[typer.Typer], None]", plugin.load())
        except ImportError as error:
            typer.echo(f"the commands of {plugin.name!r} are not available: {error}", err=True)
            continue
        add(app)
    return app


def main() -> None:
    build()()
