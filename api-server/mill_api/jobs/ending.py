"""How a job ends, and what its end sets free. Called by the worker, the sweep and the cancel endpoint.

Each function runs in one transaction of the job's tenant with the job's row locked: the end of the job, the domain's rows
and the release of what waited for it are seen together or not at all.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from mill_contracts.ids import WorkspaceId
from mill_contracts.jobs import JobState
from sqlalchemy import func, select

from mill_api.db import Database, UnitOfWork
from mill_api.jobs import repository
from mill_api.jobs.errors import AwaitedJobFailed, JobHasEnded
from mill_api.jobs.handlers import Attempt, Registry
from mill_api.jobs.tables import JobRow, JsonObject
from mill_api.jobs.waking import wake_after_commit


class FencingRefused(Exception):  # noqa: N818 - it is a verdict: this attempt no longer owns the job
    """The token is not the job's any more: another attempt, the sweep or a cancel was first."""


@dataclass(frozen=True)
class Databases:
    """The two roles a worker has: `app` sees one tenant at a time, `system` the ledger of all."""

    app: Database
    system: Database

    def of(self, tenant: object | None) -> Database:
        """The platform's own jobs have no tenant; they end through the system role."""
        return self.system if tenant is None else self.app


@dataclass(frozen=True)
class Endings:
    """`retry_delay` is seconds before the second attempt; it grows with each."""

    registry: Registry
    retry_delay: float = 2.0

    async def succeed(self, work: UnitOfWork, attempt: Attempt, result: JsonObject, log_key: str | None) -> JobState:
        """The domain's rows and the end, or the cancel that came first. Raises `FencingRefused`."""
        job = await _held(work, attempt)
        job.log_key = log_key
        if job.cancel_requested_at is not None:
            return await self.cancel(work, job)
        await self.registry.handler(job.kind).apply(work, attempt, result)
        job.result = storable(result)
        job.progress = 1.0
        job.problem = None
        return await self._end(work, job, JobState.SUCCEEDED)

    async def give_up(self, work: UnitOfWork, attempt: Attempt, problem: JsonObject, log_key: str | None) -> JobState:
        """Trying again would give the same answer. Raises `FencingRefused`."""
        job = await _held(work, attempt)
        job.log_key = log_key
        if job.cancel_requested_at is not None:
            return await self.cancel(work, job)
        return await self.fail(work, job, problem)

    async def try_again(self, work: UnitOfWork, attempt: Attempt, problem: JsonObject, log_key: str | None) -> JobState:
        """This attempt failed: back to the queue, or failed for good at the last one. Raises `FencingRefused`."""
        job = await _held(work, attempt)
        job.log_key = log_key
        return await self.requeue_or_fail(work, job, problem)

    async def cancelled(self, work: UnitOfWork, attempt: Attempt, log_key: str | None) -> JobState:
        job = await _held(work, attempt)
        job.log_key = log_key
        return await self.cancel(work, job)

    async def requeue_or_fail(self, work: UnitOfWork, job: JobRow, problem: JsonObject) -> JobState:
        """For a locked, running job whose attempt is over."""
        if job.cancel_requested_at is not None:
            return await self.cancel(work, job)
        if job.attempt >= job.max_attempts:
            return await self.fail(work, job, problem)
        job.state = JobState.QUEUED
        job.problem = storable(problem)
        job.token = job.lease_until = job.worker = job.progress = job.stage = None
        job.queued_at = func.clock_timestamp()
        job.not_before = func.clock_timestamp() + timedelta(seconds=self.retry_delay * job.attempt)
        await work.session.flush()
        wake_after_commit(work, job.queue, job.id)
        return job.state

    async def fail(self, work: UnitOfWork, job: JobRow, problem: JsonObject) -> JobState:
        job.problem = storable(problem)
        return await self._end(work, job, JobState.FAILED)

    async def cancel(self, work: UnitOfWork, job: JobRow) -> JobState:
        return await self._end(work, job, JobState.CANCELLED)

    async def release(self, work: UnitOfWork, job: JobRow, awaited: JobRow) -> None:
        """`awaited` has ended, and `job`, locked, waited for it."""
        if awaited.state is JobState.SUCCEEDED:
            job.state = JobState.QUEUED
            job.queued_at = func.clock_timestamp()
            await work.session.flush()
            wake_after_commit(work, job.queue, job.id)
            return
        await self.fail(work, job, awaited_failed(awaited))

    async def _end(self, work: UnitOfWork, job: JobRow, state: JobState) -> JobState:
        if job.state.is_final:
            raise JobHasEnded(f"Job {job.id} has {job.state.value} already")
        job.state = state
        job.lease_until = None
        job.finished_at = func.clock_timestamp()
        await work.session.flush()
        await work.session.refresh(job)
        if state is not JobState.SUCCEEDED:
            await self.registry.handler(job.kind).undo(work, job)
        for waiting in await _waiting_for(work, job):
            await self.release(work, waiting, job)
        await work.session.flush()
        return state


def awaited_failed(awaited: JobRow) -> JsonObject:
    """The problem of a job that waited in vain: it names the cause."""
    cause: dict[str, Any] = awaited.problem or {}
    reason = f": {cause['detail']}" if "detail" in cause else ""
    detail = f"It waited for the {awaited.kind.value} job {awaited.id}, which has {awaited.state.value}{reason}"
    return AwaitedJobFailed(detail, errors=cause.get("errors", ())).document()


def storable(value: Any) -> Any:
    """The same JSON without what PostgreSQL refuses in text (NUL, lone surrogates): a child quotes hostile data."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in cast("list[Any]", value)]
    return value


def tenant_of(attempt: Attempt | JobRow) -> WorkspaceId | None:
    return None if attempt.tenant_id is None else WorkspaceId(attempt.tenant_id)


async def _held(work: UnitOfWork, attempt: Attempt) -> JobRow:
    job = await repository.lock(work, attempt.id)
    if job is None or job.state is not JobState.RUNNING or job.token != attempt.token:
        raise FencingRefused(f"job {attempt.id}: token {attempt.token} is not valid any more")
    return job


async def _waiting_for(work: UnitOfWork, job: JobRow) -> list[JobRow]:
    query = select(JobRow).where(JobRow.waits_for == job.id, JobRow.state == JobState.WAITING).with_for_update()
    return list(await work.session.scalars(query.order_by(JobRow.id)))
