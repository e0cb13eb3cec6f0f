"""The command `modelmill`. `main` is its entry point; other packages plug in commands by the entry point `modelmill.commands`."""

from modelmill.cli._app import main

__all__ = ["main"]
