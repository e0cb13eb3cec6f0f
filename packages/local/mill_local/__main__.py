"""`python -m mill_local up|down|status|logs|flower`: the same commands without the SDK; how `up --detach` starts its supervisor."""

import typer

from mill_local.cli import commands


def main() -> None:
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    commands(app)
    app()


if __name__ == "__main__":
    main()
