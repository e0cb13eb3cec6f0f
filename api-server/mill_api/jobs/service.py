"""The rules of the ledger: asking for a job, cancelling it, repeating it, ending it. Domains call `enqueue` alone.

Everything here happens inside the caller's transaction. A wake-up is sent after the commit and may be lost; the sweep repeats it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from mill_contracts.ids import JobId, UserId, WorkspaceId
from mill_contracts.jobs import JobState
from mill_kit.telemetry import Kind
from sqlalchemy import func
from structlog.contextvars import get_contextvars

from mill_api.db import UnitOfWork
from mill_api.jobs import repository
from mill_api.jobs.ending import Endings
from mill_api.jobs.errors import AwaitedJobFailed, JobHasEnded, JobHasNotEnded, JobNotFound, NothingToRetry
from mill_api.jobs.handlers import KindSettings, Registry
from mill_api.jobs.tables import JobRow
from mill_api.jobs.waking import wake_after_commit


@dataclass(frozen=True)
class NewJob:
    """What to do, for whom. `settings` is the domain's constant of the kind, `subject_id` the row the job is about.

    `spec` is JSON and all the handler will know: ids and object keys, never secrets. With `waits_for` the job starts when
    that job of the same workspace has succeeded, and fails when it does not succeed.
    """

    settings: KindSettings
    tenant_id: WorkspaceId
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    subject_id: UUID | None = None
    requested_by: UserId | None = None
    waits_for: JobId | None = None


async def enqueue(work: UnitOfWork, job: NewJob) -> JobRow:
    """Add the job in the caller's transaction; a worker is woken after the commit. Flushes; the row's id is `job_id` at once.

    Raises `JobNotFound` when the awaited job is not one of this workspace, `AwaitedJobFailed` when it failed already.
    """
    state = await _first_state(work, job.waits_for)
    with work.tracer.step(f"enqueue {job.settings.kind.value}", Kind.PRODUCER) as span:
        row = await _add(work, job, state, span.header)
        span.note({"mill.job.id": str(row.id)})
    if state is JobState.QUEUED:
        wake_after_commit(work, row.queue, row.id)
    return row


async def _add(work: UnitOfWork, job: NewJob, state: JobState, traceparent: str | None) -> JobRow:
    context = get_contextvars()
    row = JobRow(
        tenant_id=job.tenant_id,
        kind=job.settings.kind,
        queue=job.settings.queue,
        state=state,
        max_attempts=job.settings.max_attempts,
        spec=dict(job.spec),
        subject_id=job.subject_id,
        requested_by=job.requested_by,
        waits_for=job.waits_for,
        request_id=context.get("request_id"),
        traceparent=traceparent,
        queued_at=func.clock_timestamp() if state is JobState.QUEUED else None,
    )
    work.session.add(row)
    await work.session.flush()
    await work.session.refresh(row)
    return row


async def cancel(work: UnitOfWork, endings: Endings, job_id: UUID) -> JobRow:
    """End a job that has not begun; ask the worker of a running one to stop. Cancelling a cancelled job changes nothing.

    Raises `JobNotFound`, and `JobHasEnded` when it succeeded or failed already.
    """
    job = await _locked(work, job_id)
    if job.state is JobState.CANCELLED:
        return job
    if job.state.is_final:
        raise JobHasEnded(f"Job {job_id} has {job.state.value} already; there is nothing to cancel")
    if job.state is not JobState.RUNNING:
        await endings.cancel(work, job)
    elif job.cancel_requested_at is None:
        job.cancel_requested_at = func.clock_timestamp()
    await work.session.flush()
    await work.session.refresh(job)
    return job


async def retry(work: UnitOfWork, registry: Registry, job_id: UUID, requested_by: UserId) -> JobRow:
    """A new job of the same spec, linked by `retry_of`; the domain decides whether it may be.

    Raises `JobNotFound`, `NothingToRetry` for one that succeeded or was repeated already, `JobHasNotEnded`.
    """
    ended = await _locked(work, job_id)
    if not ended.state.is_final:
        raise JobHasNotEnded(f"Job {job_id} is {ended.state.value}; cancel it first")
    if ended.state is JobState.SUCCEEDED:
        raise NothingToRetry(f"Job {job_id} succeeded")
    if (newer := await repository.retried_as(work, job_id)) is not None:
        raise NothingToRetry(f"Job {job_id} was repeated already as {newer}")
    handler = registry.handler(ended.kind)
    new = NewJob(
        settings=handler.settings,
        tenant_id=WorkspaceId(_tenant(ended)),
        spec=ended.spec,
        subject_id=ended.subject_id,
        requested_by=requested_by,
        waits_for=await _newest_of(work, ended.waits_for),
    )
    row = await enqueue(work, new)
    row.retry_of = ended.id
    await work.session.flush()
    await handler.retried(work, ended, row)
    return row


async def _locked(work: UnitOfWork, job_id: UUID) -> JobRow:
    job = await repository.lock(work, job_id)
    if job is None:
        raise JobNotFound(f"There is no job {job_id}")
    return job


async def _newest_of(work: UnitOfWork, awaited: UUID | None) -> JobId | None:
    """What the repeated job waits for: the last repetition of what the first one waited for."""
    while awaited is not None and (newer := await repository.retried_as(work, awaited)) is not None:
        awaited = newer
    return None if awaited is None else JobId(awaited)


def _tenant(job: JobRow) -> UUID:
    if job.tenant_id is None:
        raise JobNotFound(f"There is no job {job.id}")
    return job.tenant_id


async def _first_state(work: UnitOfWork, waits_for: JobId | None) -> JobState:
    """Locks the awaited job, so that it cannot end unnoticed between this look and the insert."""
    if waits_for is None:
        return JobState.QUEUED
    awaited = await repository.lock(work, waits_for)
    if awaited is None:
        raise JobNotFound(f"There is no job {waits_for} to wait for")
    if awaited.state in (JobState.FAILED, JobState.CANCELLED):
        raise AwaitedJobFailed(f"Job {waits_for} has {awaited.state.value}; repeat it first")
    return JobState.QUEUED if awaited.state is JobState.SUCCEEDED else JobState.WAITING
