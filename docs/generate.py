"""Writes the generated reference, or says which of it is stale: `python docs/generate.py [--check]`.

`make generate` and `make check` call this. Every page comes from the code it describes, so the reference cannot lie.
The catalogue of algorithms belongs to `mill_contracts`; it is made first, because a page is made of it.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from _generate.algorithms import algorithms_page
from _generate.cli import cli_page
from _generate.metrics import metrics_page
from _generate.openapi import api_server_document, ml_service_document
from _generate.problems import problems_page
from _generate.settings import settings_page

REFERENCE = Path(__file__).parent / "reference"
MEND = "make generate"
PAGES: Mapping[str, Callable[[], str]] = {
    "openapi-api-server.json": api_server_document,
    "openapi-ml-service.json": ml_service_document,
    "settings.md": settings_page,
    "problems.md": problems_page,
    "metrics.md": metrics_page,
    "cli.md": cli_page,
    "algorithms.md": algorithms_page,
}


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    catalogue_is_stale = _catalogue(check=options.check)
    pages = {options.reference / name: make() for name, make in PAGES.items() if name in (options.only or PAGES)}
    if not options.check:
        options.reference.mkdir(parents=True, exist_ok=True)
        for path, text in pages.items():
            path.write_text(text, "utf-8")
        return int(catalogue_is_stale)
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        sys.stderr.write(f"stale: {_shown(path)}\n")
    if stale or catalogue_is_stale:
        sys.stderr.write(f"Run `{MEND}` and commit what it changes.\n")
    return int(bool(stale) or catalogue_is_stale)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="another folder to write to or to check")
    parser.add_argument("--only", action="append", choices=list(PAGES), help="this page alone (may be repeated)")
    return parser.parse_args(arguments)


def _catalogue(*, check: bool) -> bool:
    """Whether `mill_contracts/algorithms.json` is stale; without `check` it is written anew, in a process that reads it fresh."""
    command = [sys.executable, "-m", "mill_trainer.catalogue", *(["--check"] if check else [])]
    return subprocess.run(command, check=False).returncode != 0


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
