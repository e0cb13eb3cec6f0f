"""Writes the generated reference, or says which of it is stale: `python docs/generate.py [--check]`.

`make generate` and `make check` call this. Every page comes from the code it describes, so the reference cannot lie.
The catalogue of algorithms belongs to `mill_contracts`; it is made first, because a page is made of it. `docs/reliability.md`
is made of what the fault runs have recorded, by `tests.faults.table`.
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

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = Path(__file__).parent / "reference"
ELSEWHERE = ("mill_trainer.catalogue", "tests.faults.table")
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
    elsewhere = {module: _made_elsewhere(module, check=options.check) for module in ELSEWHERE}
    pages = {options.reference / name: make() for name, make in PAGES.items() if name in (options.only or PAGES)}
    if not options.check:
        options.reference.mkdir(parents=True, exist_ok=True)
        for path, text in pages.items():
            path.write_text(text, "utf-8")
        return int(any(elsewhere.values()))
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        sys.stderr.write(f"stale: {_shown(path)}\n")
    if stale or any(elsewhere.values()):
        sys.stderr.write(f"Run `{MEND}` and commit what it changes.\n")
    return int(bool(stale) or any(elsewhere.values()))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what is stale")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="another folder to write to or to check")
    parser.add_argument("--only", action="append", choices=list(PAGES), help="this page alone (may be repeated)")
    return parser.parse_args(arguments)


def _made_elsewhere(module: str, *, check: bool) -> bool:
    """Whether what `module` writes is stale; without `check` it is written anew, in a process that reads it fresh."""
    command = [sys.executable, "-m", module, *(["--check"] if check else [])]
    return subprocess.run(command, check=False, cwd=ROOT).returncode != 0


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
