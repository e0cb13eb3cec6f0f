"""The job `sweep`: the platform's own, on a schedule, without a child process. Registered at the composition root."""

from dataclasses import dataclass
from datetime import timedelta

from mill_contracts.jobs import JobKind, Queue

from mill_api.db import ReadSession, UnitOfWork
from mill_api.housekeeping.service import Housekeeping
from mill_api.jobs import repository
from mill_api.jobs.handlers import Attempt, Errand, KindSettings, Outputs, Schedule
from mill_api.jobs.tables import JobRow, JsonObject

SWEEP = KindSettings(kind=JobKind.SWEEP, queue=Queue.GENERAL, max_attempts=2, timeout=6 * 3600)


@dataclass(frozen=True)
class SweepHandler:
    """A sweep writes no row of a domain: what it does may be done twice, and a failed one is made up for by the next."""

    housekeeping: Housekeeping
    settings: KindSettings = SWEEP

    def schedule(self, every_seconds: float) -> Schedule:
        return Schedule("sweep", timedelta(seconds=every_seconds), self.settings)

    async def build(self, reading: ReadSession, attempt: Attempt) -> Errand:
        if await repository.runs_elsewhere(reading, attempt.kind, attempt.id):
            return self._leave_it
        return self.housekeeping.sweep

    async def _leave_it(self) -> JsonObject:
        """A long sweep is still at it: a second one would take the place of a user's job and find nothing."""
        return {"left_to_another": True}

    def store(self, attempt: Attempt, outputs: Outputs) -> JsonObject:  # noqa: ARG002 - only a child leaves outputs
        return {}

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: JsonObject) -> None:
        """The result is in the job's row."""

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        """What is deleted was doomed."""

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:
        """The new sweep needs nothing of the old one."""
