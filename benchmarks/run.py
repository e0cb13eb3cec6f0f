"""`make bench`: measure uploads, profiles, trainings and predictions, each against its limit in the same run.

`.venv/bin/python benchmarks/run.py [profile] [upload] [train] [predict] [--quick] [--readme]` prints a table per question and
writes dated JSON to `benchmarks/results/`. It ends with 1 when a limit that is a promise is not kept. Loopback only; everything it
starts is stopped, and everything it writes elsewhere is deleted.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # the folders below are named by what they measure; none may stand in for a library's module

from benchmarks.common import readme, results  # noqa: E402
from benchmarks.common.answer import Answer  # noqa: E402
from benchmarks.common.bench import Bench  # noqa: E402
from benchmarks.common.machine import Machine  # noqa: E402
from benchmarks.predict.question import predict  # noqa: E402
from benchmarks.profile.question import profile  # noqa: E402
from benchmarks.train.question import train  # noqa: E402
from benchmarks.upload.question import upload  # noqa: E402

QUESTIONS: dict[str, Callable[[Bench], Answer]] = {
    "profile": profile,  # before the stack is up, which the others share
    "upload": upload,
    "train": train,
    "predict": predict,
}


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, interrupt)
    if options.show is not None:
        return show(options.show)
    kept: Path | None = options.results or (None if options.quick else results.FOLDER)
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="modelmill-bench-") as folder, Bench(Path(folder), options.quick) as bench:
        for name in [name for name in QUESTIONS if name in (options.names or QUESTIONS)]:
            broken += ask(name, bench, kept)
    if options.readme is not None and kept is not None:
        readme.rewrite(options.readme, results.newest(kept, list(QUESTIONS)))
    for line in broken:
        print(f"Not kept: {line}", file=sys.stderr)
    return 1 if broken and not options.quick else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Modelmill against its limits")
    parser.add_argument(
        "names", nargs="*", metavar="question", help=f"any of {', '.join(QUESTIONS)}; all when left out"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes that prove the benchmarks work, and nothing more"
    )
    parser.add_argument("--results", type=Path, help="the folder for the JSON (a quick run writes none without it)")
    parser.add_argument(
        "--readme",
        type=Path,
        nargs="?",
        const=ROOT / "README.md",
        help="rewrite the marked block of README.md from the newest results",
    )
    parser.add_argument(
        "--show", type=Path, nargs="?", const=results.FOLDER, help="print the newest results, measure nothing"
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in QUESTIONS]
    if unknown:
        parser.error(f"no such question: {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    return options


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def ask(name: str, bench: Bench, kept: Path | None) -> tuple[str, ...]:
    """Measure, print, keep; gives the promises that were not kept."""
    bench.say(f"{name}: begins")
    machine, begun = Machine.now(), time.perf_counter()
    answer = QUESTIONS[name](bench)
    bench.say(f"{name}: took {time.perf_counter() - begun:.0f} s")
    print(f"\n{answer.text()}\n", flush=True)
    if kept is not None:
        print(results.write(kept, name, answer, machine, quick=bench.quick), flush=True)
    return answer.broken


def show(folder: Path) -> int:
    print(readme.block(results.newest(folder, list(QUESTIONS))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
