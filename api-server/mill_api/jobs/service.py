"""The rules of the ledger: asking for a job, cancelling it, repeating it, ending it. Domains call `enqueue` alone.

Everything here happens inside the caller's transaction. A wake-up is sent after the commit and may be lost; the sweep repeats it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from mill_contracts.ids import JobId, UserId, WorkspaceId
from mill_contracts.jobs import JobState
from sqlalchemy import func
from structlog.contextvars import get_contextvars

from mill_api.db import UnitOfWork
from mill_api.jobs import repository
from mill_api.jobs.errors import AwaitedJobFailed, JobNotFound
from mill_api.jobs.handlers import KindSettings
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
        traceparent=context.get("traceparent"),
        queued_at=func.clock_timestamp() if state is JobState.QUEUED else None,
    )
    work.session.add(row)
    await work.session.flush()
    await work.session.refresh(row)
    if state is JobState.QUEUED:
        wake_after_commit(work, row.queue, row.id)
    return row


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
