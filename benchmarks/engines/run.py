"""How fast is a forest, alone? `.venv/bin/python benchmarks/engines/run.py [A2] [C2] [B] [B2] [--onnx] [--quick]`

Prints one table with every engine in the same interleaved rounds, judges the goals, writes dated JSON to
`benchmarks/results/`, and ends with 1 when a goal is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from benchmarks.common import results  # noqa: E402
from benchmarks.common.answer import Answer  # noqa: E402
from benchmarks.common.machine import Machine  # noqa: E402
from benchmarks.engines import goals, models, peers  # noqa: E402
from benchmarks.engines.measure import Engine, Sizes, medians, round_of  # noqa: E402

TITLE = "Forests alone: one row as a Python call, 1,000 rows, 1,000,000 rows on one and two threads"
COLUMNS = ("model", "engine", "row µs", "1,000 rows ms", "1 M rows s", "2 threads s", "× by 2 threads")
FIGURES = (
    ("row_us", "{:.2f}"),
    ("middle_ms", "{:.2f}"),
    ("large_s", "{:.2f}"),
    ("large_two_s", "{:.2f}"),
    ("two_threads", "{:.2f}"),
)


def main() -> int:
    options = arguments()
    names = options.names or list(models.WORDS)
    rounds = 1 if options.quick else options.rounds
    machine = Machine.now()
    table = models.many_rows(models.census()[0], 20_000 if options.quick else 1_000_000)
    sizes = Sizes(table, large=len(table))
    with tempfile.TemporaryDirectory(prefix="modelmill-engines-") as folder:
        found = [one for name in names for one in measure(name, sizes, rounds, options, Path(folder))]
    answer = judged(found, names)
    print(f"\n{answer.text()}\n")
    if options.results is not None or not options.quick:
        print(results.write(options.results or results.FOLDER, "engines", answer, machine, quick=options.quick))
    return 1 if answer.broken and not options.quick else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the forest engine alone against the libraries")
    parser.add_argument(
        "names", nargs="*", metavar="model", help=f"any of {', '.join(models.WORDS)}; all when left out"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--onnx", action="store_true", help="ONNX Runtime too, in an environment made for it")
    parser.add_argument("--quick", action="store_true", help="small models and one round: proves that it works")
    parser.add_argument("--cache", type=Path, default=models.CACHE, help="where trained models are kept")
    parser.add_argument("--results", type=Path, help="the folder for the JSON (a quick run writes none without it)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in models.WORDS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(models.WORDS)}")
    return options


def measure(name: str, sizes: Sizes, rounds: int, options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Every engine once a round, in turns."""
    say(f"{name}: {models.WORDS[name]}")
    model = models.build(name, small=options.quick, cache=options.cache)
    engines: list[Engine] = [peers.ours(model), peers.library(model)]
    if model.library == "LightGBM":
        engines.append(peers.single_row_fast(model))
    differing = peers.same_answers(model, sizes.table[:20_000])
    found: list[dict[str, Any]] = []
    for number in range(rounds):
        for engine in engines:
            found.append({"model": name, "engine": engine.name, "round": number, "differing": differing})
            found[-1] |= round_of(engine, sizes)
        say(f"{name}: round {number + 1} of {rounds}")
    if options.onnx:
        python = peers.onnx_python(options.cache, say)
        np.save(folder / "table.npy", sizes.table[:50_000])
        rows = {"middle": sizes.middle, "large": sizes.large, "rounds": rounds}
        found.append({"model": name, "engine": "ONNX Runtime", "round": 0})
        found[-1] |= peers.onnx_round(python, model, folder / "table.npy", rows)
    return found


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def judged(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Answer:
    rows: list[tuple[str, ...]] = []
    verdicts: list[goals.Verdict] = []
    for name in names:
        mine = [one for one in found if one["model"] == name]
        engines = dict.fromkeys(one["engine"] for one in mine)
        figures = {engine: medians([one for one in mine if one["engine"] == engine]) for engine in engines}
        for engine, values in figures.items():
            cells = [text.format(values[key]) if key in values else "–" for key, text in FIGURES]
            rows.append((name, engine, *cells))
        verdicts += goals.of(name, figures, differing=max(one.get("differing", 0) for one in mine))
    notes = [verdict.words() for verdict in verdicts]
    broken = tuple(verdict.words() for verdict in verdicts if not verdict.kept)
    explained = "One thread in CPU time, two by the clock; medians of the rounds. Libraries: a twentieth of the rows."
    return Answer(TITLE, COLUMNS, rows, [explained, *notes], broken, found)


if __name__ == "__main__":
    sys.exit(main())
