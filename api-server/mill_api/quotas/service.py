"""Quotas counted from the rows themselves, in the transaction that adds to them. Called by dependencies and by `usage`.

Whoever adds takes a lock of the workspace first and then counts, so that two requests at once cannot both fit into the last place.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.db import UnitOfWork
from mill_api.quotas.errors import QuotaExceeded
from mill_api.quotas.tables import QuotaRow, prediction_counts
from mill_api.settings import QuotaSettings


class Quota(StrEnum):
    BYTES = "bytes"
    RUNNING_JOBS = "running_jobs"
    MODELS = "models"
    PREDICTIONS_PER_DAY = "predictions_per_day"


Count = Callable[[AsyncSession], Awaitable[int]]
"""How much the workspace of the session has now."""

_ADVICE: Mapping[Quota, str] = {
    Quota.BYTES: "delete datasets, models or batch predictions",
    Quota.MODELS: "delete models that are not needed",
}


@dataclass(frozen=True)
class Quotas:
    """`counts` of each quota are added up; they come from the domains that keep the rows."""

    settings: QuotaSettings
    counts: Mapping[Quota, tuple[Count, ...]]

    async def limits(self, session: AsyncSession) -> dict[Quota, int]:
        """What the workspace of the session may have; 0 is no limit."""
        own = await session.scalar(select(QuotaRow))
        limits: dict[Quota, int] = {}
        for quota in Quota:
            given: int | None = getattr(own, quota.value, None)
            limits[quota] = getattr(self.settings, quota.value) if given is None else given
        return limits

    async def used(self, session: AsyncSession, quota: Quota) -> int:
        return sum([await count(session) for count in self.counts[quota]])

    async def room(self, session: AsyncSession, quota: Quota) -> int | None:
        """How much more fits; None for no limit."""
        limit = (await self.limits(session))[quota]
        return None if limit == 0 else max(0, limit - await self.used(session, quota))

    async def require(self, work: UnitOfWork, tenant: UUID, quota: Quota, more: int = 0) -> None:
        """Raises `QuotaExceeded` unless what there is, what this transaction added and `more` fit."""
        limit = (await self.limits(work.session))[quota]
        if limit == 0:
            return
        lock = func.pg_advisory_xact_lock(func.hashtextextended(f"mill.quota\n{quota.value}\n{tenant}", 0))
        await work.session.execute(select(lock))
        used = await self.used(work.session, quota) + more
        if used > limit:
            raise exceeded(quota, limit)


def exceeded(quota: Quota, limit: int) -> QuotaExceeded:
    what = quota.value.replace("_", " ")
    return QuotaExceeded(f"The workspace may have {limit:,} {what}: {_ADVICE[quota]}, or ask the operator for more")


async def predictions_today(session: AsyncSession) -> int:
    """As far as ml-service has reported; a day is one of UTC."""
    today = datetime.now(UTC).date()
    counted = select(func.coalesce(func.sum(prediction_counts.c.count), 0)).where(prediction_counts.c.day == today)
    return int(await session.scalar(counted) or 0)
