"""Whose job is next: no workspace waits because another has asked for a thousand. Called by `leases`, as `mill_system`.

Of the workspaces that may run one more job, the one that runs fewest comes first, then the one whose last claim is longest ago; of
its own jobs the oldest. The platform's jobs (no tenant) take their turn like one more workspace, without a limit.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobState
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from mill_api.db import UnitOfWork
from mill_api.jobs.tables import JobRow
from mill_api.quotas.tables import QuotaRow, job_turns


async def next_job(work: UnitOfWork, queues: Sequence[str], running_jobs: int) -> tuple[UUID, UUID | None] | None:
    """Id and tenant of the next job, its row locked; jobs that another claimer holds are passed over."""
    running = (
        select(JobRow.tenant_id, func.count().label("jobs"))
        .where(JobRow.state == JobState.RUNNING, JobRow.tenant_id.is_not(None))
        .group_by(JobRow.tenant_id)
        .subquery()
    )
    now = func.coalesce(running.c.jobs, 0)
    limit = _limit(running_jobs)
    statement = (
        select(JobRow.id, JobRow.tenant_id)
        .outerjoin(running, running.c.tenant_id == JobRow.tenant_id)
        .outerjoin(QuotaRow, QuotaRow.tenant_id == JobRow.tenant_id)
        .outerjoin(job_turns, job_turns.c.tenant_id == JobRow.tenant_id)
        .where(
            JobRow.state == JobState.QUEUED,
            JobRow.queue.in_(queues),
            or_(JobRow.not_before.is_(None), JobRow.not_before <= func.clock_timestamp()),
            or_(JobRow.tenant_id.is_(None), limit == 0, now < limit),
        )
        .order_by(now, job_turns.c.claimed_at.asc().nulls_first(), JobRow.queued_at, JobRow.id)
        .limit(1)
        .with_for_update(of=JobRow, skip_locked=True)
    )
    found = (await work.session.execute(statement)).one_or_none()
    return None if found is None else (found[0], found[1])


async def take_turn(work: UnitOfWork, tenant: UUID | None, running_jobs: int) -> bool:
    """Note the turn, and count again: claimers of one workspace wait here for each other, so that its limit holds exactly."""
    if tenant is None:
        return True
    turn = upsert(job_turns).values(tenant_id=tenant, claimed_at=func.clock_timestamp())
    await work.session.execute(
        turn.on_conflict_do_update(index_elements=["tenant_id"], set_={"claimed_at": func.clock_timestamp()})
    )
    own = select(QuotaRow.running_jobs).where(QuotaRow.tenant_id == tenant).scalar_subquery()
    counted = select(func.count()).where(JobRow.tenant_id == tenant, JobRow.state == JobState.RUNNING)
    limit, jobs = (
        await work.session.execute(select(func.coalesce(own, running_jobs), counted.scalar_subquery()))
    ).one()
    return bool(limit == 0 or jobs < limit)


def _limit(running_jobs: int) -> ColumnElement[Any]:
    return func.coalesce(QuotaRow.running_jobs, running_jobs)
