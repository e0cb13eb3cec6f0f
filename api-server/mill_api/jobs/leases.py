"""Claims and heartbeats, as `mill_system`, across all tenants. Called by the worker; every time is the database's clock.

A claim gives a token. Whoever holds it renews the lease and may end the job (`jobs.ending`); when another claim
has given out a new token, both are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobState
from sqlalchemy import func, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from mill_api.db import Database, UnitOfWork
from mill_api.jobs.handlers import Attempt
from mill_api.jobs.tables import JobRow, JsonObject, job_counters, job_events
from mill_api.jobs.turns import next_job, take_turn

_TRIES = 8


class Answer(Enum):
    """What the database says to a heartbeat."""

    GO_ON = auto()
    CANCEL = auto()
    LOST = auto()


@dataclass(frozen=True)
class News:
    """What a running attempt has to tell since its last heartbeat. `tail` is the last lines of all, `lines` the new ones."""

    progress: float | None = None
    stage: str | None = None
    lines: Sequence[JsonObject] = ()
    tail: Sequence[JsonObject] = ()


@dataclass(frozen=True)
class Leases:
    """`database` is the system role's; `lease` in seconds; a workspace runs at most `running_jobs` at once, 0 for no limit."""

    database: Database
    lease: float
    worker: str
    running_jobs: int = 0

    async def claim(self, queues: Sequence[str]) -> Attempt | None:
        """The next queued job of `queues`, now ours for one lease; None when there is none that may run.

        Workspaces take turns: whoever runs fewest jobs comes first, then whoever waited longest; see `jobs.turns`.
        """
        for _ in range(_TRIES):
            async with self.database.writing() as work:
                chosen = await next_job(work, queues, self.running_jobs)
                if chosen is None:
                    return None
                job_id, tenant = chosen
                if not await take_turn(work, tenant, self.running_jobs):
                    continue
                row = await work.session.scalar(self._claim(job_id))
                if row is not None:
                    return attempt_of(row)
        return None

    def _claim(self, job_id: UUID) -> Any:
        return (
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.state == JobState.QUEUED)
            .values(
                state=JobState.RUNNING,
                attempt=JobRow.attempt + 1,
                token=func.gen_random_uuid(),
                worker=self.worker,
                lease_until=self._until(),
                started_at=func.clock_timestamp(),
                not_before=None,
                progress=None,
                stage=None,
            )
            .returning(JobRow)
            .execution_options(synchronize_session=False)
        )

    async def beat(self, attempt: Attempt, news: News) -> Answer:
        """Renew the lease and write down the news. `LOST`: the job is no longer this attempt's."""
        values: dict[str, Any] = {"lease_until": self._until()}
        if news.progress is not None:
            values["progress"] = news.progress
        if news.stage is not None:
            values["stage"] = news.stage
        if news.lines:
            values["log_tail"] = list(news.tail)
        async with self.database.writing() as work:
            renewed = await work.session.execute(
                self._mine(attempt).values(values).returning(JobRow.cancel_requested_at)
            )
            row = renewed.one_or_none()
            if row is None:
                return Answer.LOST
            if news.lines:
                event = {
                    "job_id": attempt.id,
                    "tenant_id": attempt.tenant_id,
                    "kind": "log",
                    "data": {"lines": list(news.lines)},
                }
                await work.session.execute(insert(job_events).values(event))
            return Answer.GO_ON if row[0] is None else Answer.CANCEL

    async def give_back(self, attempt: Attempt) -> bool:
        """Return the job unfinished, without charging the attempt. False: it was not ours any more."""
        async with self.database.writing() as work:
            returned = await work.session.scalar(
                self._mine(attempt)
                .values(
                    state=JobState.QUEUED,
                    attempt=JobRow.attempt - 1,
                    token=None,
                    worker=None,
                    lease_until=None,
                    progress=None,
                    stage=None,
                    queued_at=func.clock_timestamp(),
                )
                .returning(JobRow.id)
            )
            return returned is not None

    async def count(self, name: str, by: int = 1) -> None:
        async with self.database.writing() as work:
            await count(work, name, by)

    def _mine(self, attempt: Attempt) -> Any:
        return (
            update(JobRow)
            .where(JobRow.id == attempt.id, JobRow.token == attempt.token, JobRow.state == JobState.RUNNING)
            .execution_options(synchronize_session=False)
        )

    def _until(self) -> Any:
        return func.clock_timestamp() + timedelta(seconds=self.lease)


async def count(work: UnitOfWork, name: str, by: int = 1) -> None:
    """Add to a counter that outlives processes (`jobs.metrics` exports them)."""
    row = upsert(job_counters).values(name=name, value=by)
    await work.session.execute(
        row.on_conflict_do_update(index_elements=["name"], set_={"value": job_counters.c.value + by})
    )


def attempt_of(row: JobRow) -> Attempt:
    """The claim as a value that outlives the session."""
    token: UUID | None = row.token
    if token is None:
        raise ValueError(f"job {row.id} is not claimed")
    return Attempt(
        id=row.id,
        tenant_id=row.tenant_id,
        kind=row.kind,
        queue=row.queue,
        token=token,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        spec=row.spec,
        subject_id=row.subject_id,
        requested_by=row.requested_by,
        request_id=row.request_id,
        traceparent=row.traceparent,
    )
