"""How an attempt went, and what that means for the job: the retry policy in one place. Used by `worker.attempt` and `worker.finishing`."""

from dataclasses import dataclass

from mill_contracts.wire import Refused, Succeeded
from mill_kit.problems import Problem

from mill_api.jobs.errors import ChildCrashed, MemoryExceeded, TimeExceeded
from mill_api.jobs.tables import JsonObject
from mill_api.worker.child.process import Ending


@dataclass(frozen=True)
class Done:
    result: JsonObject


@dataclass(frozen=True)
class GiveUp:
    """Trying again would give the same answer."""

    problem: Problem | JsonObject


@dataclass(frozen=True)
class TryAgain:
    problem: Problem


@dataclass(frozen=True)
class Cancelled:
    pass


@dataclass(frozen=True)
class Lost:
    pass


@dataclass(frozen=True)
class Returned:
    """The worker is shutting down."""


Verdict = Done | GiveUp | TryAgain | Cancelled | Lost | Returned


def of_problem(problem: Problem) -> GiveUp | TryAgain:
    """What the caller did wrong stays wrong; what is wrong with us may pass."""
    return GiveUp(problem) if problem.status < 500 else TryAgain(problem)


def judge(ended: Ending, last_words: str) -> Succeeded | GiveUp | TryAgain:
    if ended.timed_out:
        return GiveUp(TimeExceeded("It was stopped at the time limit of its kind; take less data or a smaller model"))
    if ended.memory_exceeded:
        return TryAgain(MemoryExceeded("The process was stopped at the memory limit of its kind"))
    if ended.returncode == 0 and isinstance(ended.outcome, Succeeded):
        return ended.outcome
    if ended.returncode == 0 and isinstance(ended.outcome, Refused):
        return GiveUp(ended.outcome.problem.model_dump(exclude_defaults=True))
    said = f"; its last words: {last_words}" if last_words else ""
    return TryAgain(ChildCrashed(f"The process {ended.reason}{said}"))


def document(problem: Problem | JsonObject) -> JsonObject:
    return problem.document() if isinstance(problem, Problem) else problem
