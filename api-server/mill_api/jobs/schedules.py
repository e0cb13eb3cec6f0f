"""Work the platform gives itself at intervals. Two reconcilers with one clock make one job of each tick.

A tick that nobody was there for is not made up for: the next one is due after now.
"""

from mill_contracts.ids import new_id
from mill_contracts.jobs import JobState
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from mill_api.db import UnitOfWork
from mill_api.jobs.handlers import Schedule
from mill_api.jobs.tables import JobRow, ScheduleRow, schedule_runs
from mill_api.jobs.waking import wake_after_commit


async def declare(work: UnitOfWork, schedule: Schedule) -> None:
    """Make or change the schedule of this name; its first tick is due at once. Called at the start of each worker."""
    values = {
        "every": schedule.every,
        "kind": schedule.settings.kind,
        "queue": schedule.settings.queue,
        "max_attempts": schedule.settings.max_attempts,
        "spec": dict(schedule.spec),
    }
    row = upsert(ScheduleRow).values(id=new_id(), name=schedule.name, next_due=func.clock_timestamp(), **values)
    await work.session.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


async def tick(work: UnitOfWork) -> int:
    """Enqueue one job for each schedule that is due; returns how many."""
    due = select(ScheduleRow).where(ScheduleRow.next_due <= func.clock_timestamp()).order_by(ScheduleRow.name)
    made = 0
    for schedule in await work.session.scalars(due):
        made += await _tick(work, schedule)
    return made


async def _tick(work: UnitOfWork, schedule: ScheduleRow) -> bool:
    job = JobRow(
        tenant_id=None,
        kind=schedule.kind,
        queue=schedule.queue,
        state=JobState.QUEUED,
        max_attempts=schedule.max_attempts,
        spec=schedule.spec,
        queued_at=func.clock_timestamp(),
    )
    async with work.session.begin_nested() as attempt:
        work.session.add(job)
        await work.session.flush()
        run = upsert(schedule_runs).values(schedule=schedule.name, due=schedule.next_due, job_id=job.id)
        first = await work.session.scalar(run.on_conflict_do_nothing().returning(schedule_runs.c.job_id))
        if first is None:
            await attempt.rollback()
            return False
    now = await work.session.scalar(select(func.clock_timestamp()))
    missed = max(0, (now - schedule.next_due) // schedule.every) if now else 0
    schedule.next_due += schedule.every * (missed + 1)
    await work.session.flush()
    wake_after_commit(work, job.queue, job.id)
    return True
