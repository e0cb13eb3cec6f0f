"""The routes of jobs."""

import asyncio
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, status
from mill_contracts.jobs import JobKind, JobState, Queue
from mill_contracts.tokens import Scope
from mill_kit.store import ObjectStore
from starlette.responses import StreamingResponse

from mill_api.access.dependencies import Me, ProjectEditor, Reading, Work
from mill_api.db import Database
from mill_api.db.pages import Page
from mill_api.db.paging import Paging
from mill_api.jobs import repository, service
from mill_api.jobs.ending import Endings
from mill_api.jobs.errors import JobNotFound, LogNotKept
from mill_api.jobs.events import EventStream
from mill_api.jobs.handlers import Registry
from mill_api.jobs.repository import JobFilter
from mill_api.jobs.schemas import Job, LogPage
from mill_api.jobs.tables import JobRow
from mill_api.once.route import OnceRoute

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], route_class=OnceRoute)


class JobParts(Protocol):
    """What jobs use of the parts that `create_app` puts into `app.state.parts`."""

    @property
    def database(self) -> Database: ...
    @property
    def store(self) -> ObjectStore: ...
    @property
    def registry(self) -> Registry: ...


def job_parts(request: Request) -> JobParts:
    return request.app.state.parts


Parts = Annotated[JobParts, Depends(job_parts)]


def job_filter(
    state: Annotated[list[JobState] | None, Query(description="one or more")] = None,
    kind: JobKind | None = None,
    queue: Queue | None = None,
    subject_id: Annotated[UUID | None, Query(description="the version the job is about")] = None,
) -> JobFilter:
    return JobFilter(tuple(state or ()), kind, queue, subject_id)


@router.get("")
async def list_jobs(session: Reading, page: Paging, wanted: Annotated[JobFilter, Depends(job_filter)]) -> Page[Job]:
    """The workspace's jobs, newest first."""
    return (await repository.page(session, wanted, page)).page(Job.of)


@router.get("/{job_id}")
async def get(job_id: UUID, session: Reading) -> Job:
    """One job."""
    return Job.of(_found(await repository.get(session, job_id), job_id))


@router.get("/{job_id}/logs")
async def logs(job_id: UUID, session: Reading, after: Annotated[int, Query(ge=0, lt=2**63)] = 0) -> LogPage:
    """What the job said, line by line; for all of a long log take `/log`."""
    return await repository.log_page(session, _found(await repository.get(session, job_id), job_id), after)


@router.get("/{job_id}/log", response_class=StreamingResponse)
async def log(job_id: UUID, me: Me, parts: Parts) -> StreamingResponse:
    """The whole log of the last attempt that ended, as text."""
    me.need_scope(Scope.READ)
    async with parts.database.reading(me.workspace_id) as session:
        key = _found(await repository.get(session, job_id), job_id).log_key
    if key is None:
        raise LogNotKept(
            f"Job {job_id} has no stored log; it has not run to an end yet, said nothing, or the store was away"
        )
    size = await asyncio.to_thread(parts.store.size, key)
    headers = {"content-length": str(size), "x-content-type-options": "nosniff"}
    return StreamingResponse(parts.store.stream(key), media_type="text/plain; charset=utf-8", headers=headers)


@router.post("/{job_id}/cancel")
async def cancel(job_id: UUID, _who: ProjectEditor, work: Work, parts: Parts) -> Job:
    """Cancel a job. One that runs is asked to stop and is `cancelled` when it has; watch its state."""
    return Job.of(await service.cancel(work, Endings(parts.registry), job_id))


@router.post("/{job_id}/retry", status_code=status.HTTP_201_CREATED)
async def retry(job_id: UUID, who: ProjectEditor, work: Work, parts: Parts) -> Job:
    """A new job that repeats a failed or cancelled one."""
    return Job.of(await service.retry(work, parts.registry, job_id, who.user_id))


@router.get("/{job_id}/events", response_class=StreamingResponse)
async def events(
    job_id: UUID, me: Me, parts: Parts, last_event_id: Annotated[int | None, Header(ge=0, lt=2**63)] = None
) -> StreamingResponse:
    """Server-sent events: `state`, `cancel`, `stage`, `progress`, `log`; resumes after `Last-Event-ID`, ends with the job.

    It ends too when the caller's sign-in, key or membership does.
    """
    me.need_scope(Scope.READ)
    async with parts.database.reading(me.workspace_id) as session:
        _found(await repository.get(session, job_id), job_id)
    stream = EventStream(parts.database, me).of(job_id, last_event_id or 0)
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def _found(job: JobRow | None, job_id: UUID) -> JobRow:
    if job is None:
        raise JobNotFound(f"There is no job {job_id}")
    return job
