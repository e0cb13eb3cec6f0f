"""How fast is serving, beside its peers? `make bench-serving`, or `.venv/bin/python benchmarks/serving/run.py [--quick] [--resume]`

Installs the peers into environments of the benchmark's own, measures ml-service, a no-op and the peers in interleaved rounds,
judges the goals, writes dated JSON to `benchmarks/results/` and ends with 1 when a goal is missed.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # folders here are named after the peers; none may stand in for a library's module

from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: E402

from benchmarks.common import readme, results  # noqa: E402
from benchmarks.common.machine import Machine  # noqa: E402
from benchmarks.serving import cold, flame, models, ours, peers, report  # noqa: E402
from benchmarks.serving.load import wrk  # noqa: E402
from benchmarks.serving.rounds import WARM_SECONDS, WORKLOADS, Journal, Plan, Stage, Turn  # noqa: E402

NAME = "serving"
OURS = (ours.NOTHING, ours.ONE, ours.TWO, ours.NGINX)
QUICK_ROUNDS, QUICK_SECONDS = 2, 2
COLD_ROUNDS = 5


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, interrupt)
    if options.show:
        return show(options)
    wrk()
    console = Console(stderr=True)
    begun = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - begun:6.0f} s] {line}", markup=False, highlight=False, soft_wrap=True)

    machine = Machine.now()
    options.cache.mkdir(parents=True, exist_ok=True)
    if options.flame:
        return flame.record(options.cache, say)
    journal = Journal(options.cache / ("rounds-quick.jsonl" if options.quick else "rounds.jsonl"))
    if options.resume:
        journal.read()
        say(f"going on after {len(journal.measured)} measurements")
    else:
        journal.path.unlink(missing_ok=True)
    ends = begun + options.minutes * 60 if options.minutes else None
    for name in options.models:
        if ends is None or time.monotonic() < ends:
            one_model(name, options, journal, console, ends)
    if not options.no_cold:
        measure_cold(options, journal, say)
    return finish(options, machine, journal)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure ml-service beside a no-op and its peers")
    known = ", ".join([*OURS, *(peer.name for peer in peers.PEERS)])
    parser.add_argument("--models", nargs="+", default=list(models.WORDS), choices=list(models.WORDS))
    parser.add_argument("--servers", nargs="+", default=[], metavar="SERVER", help=f"any of {known}; ml-service always")
    parser.add_argument("--workloads", nargs="+", default=[], choices=[workload.name for workload in WORKLOADS])
    parser.add_argument("--rounds", type=int, default=5)
    side = "of what no goal judges (1 and 16 connections, two processes); as many as the others without it"
    parser.add_argument("--side-rounds", type=int, help=side)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--side-seconds", type=int, help="of what no goal judges; as many as the others without it")
    parser.add_argument("--minutes", type=float, help="stop measuring after these; --resume goes on")
    parser.add_argument("--lock", type=Path, help="lock this file for each measurement: other work that locks it waits")
    parser.add_argument("--resume", action="store_true", help="go on with the rounds that were measured already")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of {QUICK_SECONDS} s: proves that everything works"
    )
    parser.add_argument("--no-cold", action="store_true", help="leave out the first calls of a large package")
    parser.add_argument("--flame", action="store_true", help="record a flame graph of ml-service instead")
    parser.add_argument("--show", action="store_true", help="draw and print the newest result, measure nothing")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / ".modelmill" / "bench", help="environments, models, rounds"
    )
    parser.add_argument("--results", type=Path, help="the folder for the JSON and the picture")
    parser.add_argument("--readme", type=Path, nargs="?", const=ROOT / "README.md", help="rewrite the marked block")
    options = parser.parse_args()
    unknown = set(options.servers) - {*OURS, *(peer.name for peer in peers.PEERS)}
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {known}")
    if options.quick:
        options.rounds, options.seconds = QUICK_ROUNDS, QUICK_SECONDS
    if options.side_rounds is None:
        options.side_rounds = options.rounds
    if options.side_seconds is None:
        options.side_seconds = options.seconds
    options.cache = options.cache.resolve()
    options.results = options.results or (options.cache / "quick" if options.quick else results.FOLDER)
    return options


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def one_model(name: str, options: argparse.Namespace, journal: Journal, console: Console, ends: float | None) -> None:
    """All rounds of one model; each measurement is kept as soon as it is made."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    plan = Plan(
        options.rounds,
        options.side_rounds,
        options.seconds,
        options.side_seconds,
        tuple(options.servers),
        tuple(options.workloads),
    )
    if journal.is_finished(name, plan):
        return
    with tempfile.TemporaryDirectory(prefix="modelmill-serving-") as folder, Progress(*columns, console=console) as bar:

        def say(line: str) -> None:
            bar.console.print(f"[{time.strftime('%H:%M:%S')}] {line}", markup=False, highlight=False, soft_wrap=True)

        say(f"{name}: {models.WORDS[name]}")
        Path(folder).chmod(0o711)  # nginx's workers are nobody when we are root, and spool bodies below it
        model = models.build(name, options.cache / "models")
        with Stage(model, plan, options.cache, Path(folder) / "work", journal, say, options.lock) as stage:
            turns = stage.turns()
            say(f"{name}: {len(turns)} measurements, about {expected(turns, plan):.0f} minutes")
            task = bar.add_task(name, total=len(turns))
            last = 0
            for turn in turns:
                if ends is not None and time.monotonic() > ends:
                    say("the time is up; --resume goes on from here")
                    break
                if turn.round != last:
                    last = turn.round
                    say(f"{name}: round {last} of {plan.rounds}")
                bar.update(task, description=f"{name} {turn.workload.name} {turn.server}")
                if turn.server in stage.running:
                    stage.measure(turn)
                bar.advance(task)
            else:
                journal.finish(name, plan)


def expected(turns: Sequence[Turn], plan: Plan) -> float:
    """Minutes."""
    return len(turns) * (plan.seconds + WARM_SECONDS + 0.7) / 60


def measure_cold(options: argparse.Namespace, journal: Journal, say: flame.Say) -> None:
    rounds = QUICK_ROUNDS if options.quick else COLD_ROUNDS
    left = range(len(journal.cold) + 1, rounds + 1)
    if not left:
        return
    small = models.build("A", options.cache / "models").package
    with tempfile.TemporaryDirectory(prefix="modelmill-serving-") as folder:
        for one in cold.measure(cold.large_package(options.cache, say), small, left, Path(folder), say):
            journal.add_cold(one)


def finish(options: argparse.Namespace, machine: Machine, journal: Journal) -> int:
    how = (
        f"Interleaved rounds ({report.rounds_in_words(journal.measured)}); medians. wrk on the same machine, one thread; "
        "the others are held meanwhile, but for PyTriton, Ray Serve and the two workers. Batches: 4 connections."
    )
    answer = report.answer(journal.measured, journal.left_out, journal.cold, how)
    print(f"\n{answer.text()}\n")
    path = results.write(options.results, NAME, answer, machine, quick=options.quick)
    print(path)
    publish(options, path)
    return 1 if answer.broken and not options.quick else 0


def publish(options: argparse.Namespace, path: Path) -> None:
    """The picture beside the JSON, and the README's block."""
    picture = path.with_suffix(".svg")
    report.draw(path, picture, options.cache)
    print(picture)
    if options.readme is not None:
        document = report.load(path)
        place = os.path.relpath(picture, options.readme.parent)
        readme.replace(options.readme, NAME, report.markdown(document, place, Machine(**document["machine"]).words()))


def show(options: argparse.Namespace) -> int:
    files = sorted(options.results.glob(f"????-??-??-{NAME}.json"))
    if not files:
        raise SystemExit(f"there is no result in {options.results}")
    document = report.load(files[-1])
    print(report.markdown(document, files[-1].with_suffix(".svg").name, Machine(**document["machine"]).words()))
    publish(options, files[-1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
