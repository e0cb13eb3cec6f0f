"""`python -m mill_trainer.catalogue [--check]`: write the catalogue, or exit 1 when the written one is stale."""

import argparse
import sys
from importlib.resources import files
from pathlib import Path

from mill_trainer.catalogue import generate, render


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m mill_trainer.catalogue", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is stale")
    options = parser.parse_args(arguments)
    path = Path(str(files("mill_contracts").joinpath("algorithms.json")))
    fresh = render(generate())
    if options.check:
        stale = not path.is_file() or path.read_text("utf-8") != fresh
        if stale:
            sys.stderr.write("algorithms.json is stale: run python -m mill_trainer.catalogue\n")
        return int(stale)
    path.write_text(fresh, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
