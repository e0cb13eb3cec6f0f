"""`python -m tests.faults [--only 1,8] [--scale 0.1] [--seed N] [--record]`: what `make test-faults` calls.

Every run leaves its logs in a folder that it names; `--record` writes the results into the repository.
"""

import argparse
import secrets
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

from tests.faults.course import Course, Experiment, Trial
from tests.faults.experiments.registry import EXPERIMENTS
from tests.faults.promises import Result, State, read_promises, write_result
from tests.faults.suite import run_suite


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _end)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="modelmill-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    course = Course(options.seed, options.scale, folder, say, options.hours, options.part)
    say(f"seed {course.seed}, scale {course.scale:g}, logs in {folder}")
    wanted = {int(number) for number in options.only.split(",")} if options.only else set(range(1, 41))
    worst = State.REACHED
    for result in run_all(course, wanted):
        say(f"{result.promise:2}. {result.title}: {result.state} ({result.trials} trials, {result.failures} failed)")
        say(f"    {dict(result.figures)} {result.notes}")
        write_result(result, folder / "results")
        if options.record:
            write_result(result)
        if result.state is State.NOT_HELD:
            worst = State.NOT_HELD
    return int(worst is State.NOT_HELD)


def run_all(course: Course, wanted: set[int]) -> Iterable[Result]:
    """Experiments that touch a wanted promise, each once, then the promises that tests alone prove."""
    tried = {number for numbers in EXPERIMENTS for number in numbers}
    for numbers, experiment in EXPERIMENTS.items():
        if wanted & set(numbers):
            say(f"… {', '.join(map(str, numbers))}: {experiment.__name__}")
            yield from _guarded(course, numbers, experiment)
    for promise in read_promises():
        if promise.number in wanted - tried and promise.tests:
            say(f"… {promise.number}: tests")
            yield from run_suite(course, promise)


def _end(_signal: int, _frame: FrameType | None) -> None:
    """A run that is told to end stops what it started: every stack is a block that is left."""
    sys.exit(143)


def _guarded(course: Course, numbers: tuple[int, ...], experiment: Experiment) -> Iterable[Result]:
    """An experiment that breaks is a failure of its first promise, with the reason; the others go on."""
    trial = Trial(course, numbers[0], experiment.__name__.replace("_", " "))
    try:
        yield from experiment(course)
    except Exception as error:
        traceback.print_exc()
        yield trial.result(0, 1, notes=f"The run broke: {type(error).__name__}: {str(error)[:300]}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", help="numbers of promises, comma separated")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of trials")
    parser.add_argument(
        "--hours", type=float, default=4.0, help="the longest experiments stop asking within their share of it"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--part", default="", help="of an experiment that has parts, this one alone")
    parser.add_argument("--folder", help="where logs and results go; a new one by default")
    parser.add_argument("--record", action="store_true", help="write the results into tests/faults/results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
