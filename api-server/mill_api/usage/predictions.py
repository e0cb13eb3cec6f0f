"""Gathers what ml-service says it has predicted, and tells it whose day is used up. A background task of every api-server.

The counts only grow, so that gathering twice, late or from two servers comes to the same. Without Redis nothing is gathered and
nobody is stopped: ml-service goes on, and tells later.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mill_contracts.routing import EXHAUSTED_KEY, TALLY_KEY_PREFIX, Exhausted, Tally
from mill_kit.logs import get_logger
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from mill_api.cache import values_of
from mill_api.db import Database
from mill_api.db.away import AWAY
from mill_api.quotas.tables import QuotaRow, prediction_counts
from mill_api.settings import QuotaSettings

_SECONDS = 5.0
_TOLD_SECONDS = 120


@dataclass(frozen=True)
class PredictionCounts:
    """`database` is the system role's."""

    database: Database
    cache: Redis
    settings: QuotaSettings

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.gather()
                await self.tell()
            except (RedisError, OSError, *AWAY) as error:
                get_logger().warning("predictions_not_counted", error=repr(error))
            await asyncio.sleep(_SECONDS)

    async def gather(self) -> None:
        told = [tally for value in await values_of(self.cache, f"{TALLY_KEY_PREFIX}*") if (tally := _parsed(value))]
        rows = [
            {"tenant_id": one.workspace_id, "day": one.day, "source": tally.source[:200], "count": one.count}
            for tally in told
            for one in tally.counts
        ]
        if not rows:
            return
        add = insert(prediction_counts)
        larger = func.greatest(prediction_counts.c.count, add.excluded.count)
        async with self.database.writing() as work:
            await work.session.execute(
                add.on_conflict_do_update(index_elements=["tenant_id", "day", "source"], set_={"count": larger}), rows
            )

    async def tell(self) -> None:
        today = datetime.now(UTC).date()
        exhausted = Exhausted(day=today, workspaces=tuple(await self._exhausted()))
        await self.cache.set(EXHAUSTED_KEY, exhausted.model_dump_json(), ex=_TOLD_SECONDS)

    async def _exhausted(self) -> list[UUID]:
        used = (
            select(prediction_counts.c.tenant_id, func.sum(prediction_counts.c.count).label("used"))
            .where(prediction_counts.c.day == datetime.now(UTC).date())
            .group_by(prediction_counts.c.tenant_id)
            .subquery()
        )
        limit = func.coalesce(QuotaRow.predictions_per_day, self.settings.predictions_per_day)
        over = (
            select(used.c.tenant_id)
            .outerjoin(QuotaRow, QuotaRow.tenant_id == used.c.tenant_id)
            .where(limit > 0, used.c.used >= limit)
        )
        async with self.database.reading() as session:
            return list(await session.scalars(over))


def _parsed(value: bytes) -> Tally | None:
    try:
        return Tally.model_validate_json(value)
    except ValidationError:
        get_logger().warning("tally_unreadable")
        return None
