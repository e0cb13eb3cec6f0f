"""The only SQL of the ledger that runs inside a request or an attempt; the sweep across tenants is `jobs.sweep`."""

from uuid import UUID

from sqlalchemy import select

from mill_api.db import UnitOfWork
from mill_api.jobs.tables import JobRow


async def lock(work: UnitOfWork, job_id: UUID) -> JobRow | None:
    """The job as it is now, held until the transaction ends. None: not there, or another tenant's."""
    query = select(JobRow).where(JobRow.id == job_id).with_for_update().execution_options(populate_existing=True)
    return await work.session.scalar(query)


async def retried_as(work: UnitOfWork, job_id: UUID) -> UUID | None:
    """The job that repeats `job_id`, if one does."""
    return await work.session.scalar(select(JobRow.id).where(JobRow.retry_of == job_id))
