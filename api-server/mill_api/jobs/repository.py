"""The only SQL of the ledger that runs inside a request or an attempt; the sweep across tenants is `jobs.sweep`."""

from dataclasses import dataclass
from uuid import UUID

from mill_contracts.jobs import JobKind, JobState, Queue
from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.db import UnitOfWork
from mill_api.db.pages import PageRequest, Slice, keyset
from mill_api.jobs.schemas import LogLine, LogPage
from mill_api.jobs.tables import JobRow, job_events

_BATCHES = 50


@dataclass(frozen=True)
class JobFilter:
    states: tuple[JobState, ...] = ()
    kind: JobKind | None = None
    queue: Queue | None = None
    subject_id: UUID | None = None


async def get(session: AsyncSession, job_id: UUID) -> JobRow | None:
    """None: not there, or another tenant's."""
    return await session.get(JobRow, job_id)


async def lock(work: UnitOfWork, job_id: UUID) -> JobRow | None:
    """The job as it is now, held until the transaction ends. None: not there, or another tenant's."""
    query = select(JobRow).where(JobRow.id == job_id).with_for_update().execution_options(populate_existing=True)
    return await work.session.scalar(query)


async def retried_as(work: UnitOfWork, job_id: UUID) -> UUID | None:
    """The job that repeats `job_id`, if one does."""
    return await work.session.scalar(select(JobRow.id).where(JobRow.retry_of == job_id))


async def log_keys(session: AsyncSession) -> set[str]:
    """The stored logs that jobs name; of all workspaces and the platform itself when asked as mill_system."""
    keys = await session.scalars(select(JobRow.log_key).where(JobRow.log_key.is_not(None)))
    return {key for key in keys if key is not None}


async def runs_elsewhere(session: AsyncSession, kind: JobKind, but: UUID) -> bool:
    """Whether another job of `kind` runs now."""
    others = exists().where(JobRow.kind == kind, JobRow.state == JobState.RUNNING, JobRow.id != but)
    return bool(await session.scalar(select(others)))


async def page(session: AsyncSession, wanted: JobFilter, page: PageRequest) -> Slice[JobRow]:
    statement = select(JobRow)
    if wanted.states:
        statement = statement.where(JobRow.state.in_(wanted.states))
    if wanted.kind is not None:
        statement = statement.where(JobRow.kind == wanted.kind)
    if wanted.queue is not None:
        statement = statement.where(JobRow.queue == wanted.queue)
    if wanted.subject_id is not None:
        statement = statement.where(JobRow.subject_id == wanted.subject_id)
    return await keyset(session, statement, JobRow, page)


async def log_page(session: AsyncSession, job: JobRow, after: int) -> LogPage:
    """The lines of the next batches; the last lines of all where the events have been cleared away."""
    query = select(job_events.c.seq, job_events.c.data).where(
        job_events.c.job_id == job.id, job_events.c.kind == "log", job_events.c.seq > after
    )
    batches = (await session.execute(query.order_by(job_events.c.seq).limit(_BATCHES))).all()
    lines = [line for batch in batches for line in batch.data["lines"]]
    if not lines and not after:
        lines = job.log_tail
    return LogPage(
        lines=[LogLine.model_validate(line) for line in lines],
        next_after=batches[-1].seq if len(batches) == _BATCHES else None,
        whole_log=job.log_key is not None,
    )


async def count_running(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).where(JobRow.state == JobState.RUNNING)) or 0
