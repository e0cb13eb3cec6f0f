"""The reconciler's work: what was lost, forgotten or due. Called by every worker process each `sweep_seconds`.

One transaction-level advisory lock lets one process sweep at a time. That is only thrift: every correction is its own
transaction, which locks the job and looks again before it acts.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from mill_contracts.ids import WorkspaceId
from mill_contracts.jobs import JobState
from mill_kit.logs import get_logger
from sqlalchemy import ColumnElement, Executable, delete, func, select, text
from sqlalchemy.orm import aliased

from mill_api.db import UnitOfWork
from mill_api.jobs import repository, schedules
from mill_api.jobs.ending import Databases, Endings
from mill_api.jobs.errors import LeaseExpired
from mill_api.jobs.leases import count
from mill_api.jobs.tables import JobRow, job_events, schedule_runs, workers

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('mill.sweep'))")
_BATCH = 200
_HINTS_PER_QUEUE = 8
_Correct = Callable[[UnitOfWork, JobRow], Awaitable[None]]
_FINAL = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Sweep:
    """`resend_after` seconds in the queue make a wake-up count as lost; events older than `keep_events_days` go."""

    databases: Databases
    endings: Endings
    resend_after: float
    keep_events_days: float = 30

    async def run(self) -> bool:
        """One sweep. False: another process is at it."""
        async with self.databases.system.writing() as watch:
            if not await watch.session.scalar(_LOCK):
                return False
            await schedules.tick(watch)
            expired = await self._each(watch, _is_expired(), self._expire)
            await self._each(watch, _is_released(), self._release)
            hints = await self._lost_hints(watch)
            for name, number in (("lease_expired", expired), ("resent", len(hints))):
                if number:
                    await count(watch, name, number)
            for statement in self._old_rows():
                await watch.session.execute(statement)
        await self._resend(hints)
        return True

    async def _each(self, watch: UnitOfWork, condition: ColumnElement[bool], correct: _Correct) -> int:
        """Correct every job that meets `condition`, one transaction each; one that cannot be corrected stops no other."""
        found = await watch.session.execute(select(JobRow.id, JobRow.tenant_id).where(condition).limit(_BATCH))
        done = 0
        for job_id, tenant in found.all():
            try:
                done += await self._correct(job_id, tenant, condition, correct)
            except Exception:
                get_logger().exception("job_not_corrected", job_id=str(job_id))
        return done

    async def _correct(
        self, job_id: UUID, tenant: UUID | None, condition: ColumnElement[bool], correct: _Correct
    ) -> bool:
        async with self.databases.of(tenant).writing(WorkspaceId(tenant) if tenant else None) as work:
            job = await repository.lock(work, job_id)
            still = await work.session.scalar(select(JobRow.id).where(JobRow.id == job_id, condition))
            if job is None or still is None:
                return False
            await correct(work, job)
            return True

    async def _expire(self, work: UnitOfWork, job: JobRow) -> None:
        problem = LeaseExpired(
            f"Worker {job.worker} was not heard of during attempt {job.attempt} of {job.max_attempts}; "
            "it was killed, or cut off from the database"
        )
        state = await self.endings.requeue_or_fail(work, job, problem.document())
        get_logger().warning("lease_expired", job_id=str(job.id), attempt=job.attempt, now=state.value)

    async def _release(self, work: UnitOfWork, job: JobRow) -> None:
        awaited = await work.session.get_one(JobRow, job.waits_for)
        await self.endings.release(work, job, awaited)

    async def _lost_hints(self, watch: UnitOfWork) -> Sequence[tuple[str, UUID]]:
        """A few queued jobs of each queue: one message makes a worker claim until nothing is left."""
        late = func.clock_timestamp() - timedelta(seconds=self.resend_after)
        place = func.row_number().over(partition_by=JobRow.queue, order_by=(JobRow.queued_at, JobRow.id))
        queued = (
            select(JobRow.queue, JobRow.id, place.label("place"))
            .where(JobRow.state == JobState.QUEUED, func.coalesce(JobRow.not_before, JobRow.queued_at) < late)
            .subquery()
        )
        rows = await watch.session.execute(
            select(queued.c.queue, queued.c.id).where(queued.c.place <= _HINTS_PER_QUEUE)
        )
        return [(queue.value, job_id) for queue, job_id in rows]

    async def _resend(self, hints: Sequence[tuple[str, UUID]]) -> None:
        wake = self.databases.system.wake
        if wake is not None:
            for queue, job_id in hints:
                await wake(queue, job_id)

    def _old_rows(self) -> Sequence[Executable]:
        """Events of jobs that ended long ago (users' jobs themselves stay), ticks and workers nobody remembers."""
        old = func.clock_timestamp() - timedelta(days=self.keep_events_days)
        ended = select(JobRow.id).where(JobRow.id == job_events.c.job_id, JobRow.state.in_(_FINAL)).exists()
        return (
            delete(JobRow).where(JobRow.tenant_id.is_(None), JobRow.state.in_(_FINAL), JobRow.finished_at < old),
            delete(job_events).where(job_events.c.at < old, ended),
            delete(schedule_runs).where(schedule_runs.c.due < old),
            delete(workers).where(workers.c.seen_at < func.clock_timestamp() - timedelta(days=1)),
        )


def _is_expired() -> ColumnElement[bool]:
    return (JobRow.state == JobState.RUNNING) & (JobRow.lease_until < func.clock_timestamp())


def _is_released() -> ColumnElement[bool]:
    awaited = aliased(JobRow)
    ended = select(awaited.id).where(awaited.id == JobRow.waits_for, awaited.state.in_(_FINAL))
    return (JobRow.state == JobState.WAITING) & ended.correlate(JobRow).exists()
