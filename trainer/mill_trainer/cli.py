"""The command line of the trainer: reads one task, runs one verb, says on the pipe how it ended.

The worker's runner calls it. Exit 0 after `succeeded` or `refused`; anything else is a traceback on stderr and exit 1.
Verbs are imported when asked for, after the limits are set, because ML libraries size their thread pools at import.
"""

import argparse
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mill_contracts.problems import ProblemDocument
from mill_contracts.tasks import AdoptTask, ProfileTask, ScoreTask, TrainTask
from mill_contracts.wire import Refused, Succeeded
from mill_kit.problems import Problem, TooLarge

from mill_trainer import limits
from mill_trainer.reporting import PipeReport, Report

Task = ProfileTask | TrainTask | ScoreTask | AdoptTask
TASKS: dict[str, type[Task]] = {"profile": ProfileTask, "train": TrainTask, "score": ScoreTask, "adopt": AdoptTask}


class OutOfMemory(TooLarge):
    """The table or the model does not fit into the memory this kind of job may use."""

    slug = "out-of-memory"
    title = "Not enough memory for this job"


def main(arguments: Sequence[str]) -> int:
    """Run one task; the exit code is 0 when its outcome stands on the pipe."""
    options = _parser().parse_args(arguments)
    task = TASKS[options.verb].model_validate_json(options.task.read_bytes())
    report = PipeReport(options.report_fd)
    limits.apply(task.limits)
    try:
        _run(task, report)
    except Problem as problem:
        report.send(refusal(problem))
    except MemoryError:
        traceback.print_exc()
        report.send(refusal(_out_of_memory(task)))
    else:
        report.send(Succeeded(files=_files(task.out_dir)))
    return 0


def refusal(problem: Problem) -> Refused:
    """The message that ends a task whose input cannot be worked with."""
    document: dict[str, Any] = problem.document()
    return Refused(problem=ProblemDocument.model_validate(document))


def _run(task: Task, report: Report) -> None:
    task.out_dir.mkdir(parents=True, exist_ok=True)
    task.scratch_dir.mkdir(parents=True, exist_ok=True)
    match task:
        case ProfileTask():
            from mill_trainer.profile import profile

            profile(task, report)
        case TrainTask():
            from mill_trainer.train import train

            train(task, report)
        case ScoreTask():
            from mill_trainer.score import score

            score(task, report)
        case AdoptTask():
            from mill_trainer.adopt import adopt

            adopt(task, report)


def _out_of_memory(task: Task) -> OutOfMemory:
    size = task.limits.memory_bytes // 2**20
    return OutOfMemory(f"This job may use {size} MiB and needs more. Use fewer rows or columns, or raise the limit.")


def _files(out_dir: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in out_dir.iterdir() if path.is_file()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mill-trainer", description="Profile, train, score, adopt: files in, files out."
    )
    parser.add_argument("verb", choices=sorted(TASKS))
    parser.add_argument("--task", type=Path, required=True, help="JSON document of the task")
    parser.add_argument("--report-fd", type=int, default=1, help="descriptor that gets one JSON message per line")
    return parser
