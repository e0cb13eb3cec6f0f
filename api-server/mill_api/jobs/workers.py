"""The heartbeat rows of worker processes, for liveness and /metrics. Written by the worker through the system role."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from mill_api.db import Database
from mill_api.jobs.tables import workers


@dataclass(frozen=True)
class WorkerRow:
    """One worker's own row; `name` is its stable name."""

    database: Database
    name: str
    queues: Sequence[str]
    concurrency: int

    async def begin(self) -> None:
        now = func.clock_timestamp()
        values = {
            "queues": list(self.queues),
            "concurrency": self.concurrency,
            "busy": 0,
            "started_at": now,
            "seen_at": now,
        }
        gone = {"canary_sent_at": None, "canary_ran_at": None, "swept_at": None}
        row = upsert(workers).values(name=self.name, **values)
        async with self.database.writing() as work:
            await work.session.execute(row.on_conflict_do_update(index_elements=["name"], set_={**values, **gone}))

    async def seen(self, *, busy: int, swept: bool, canary_sent: bool) -> None:
        now = func.clock_timestamp()
        values = {"busy": busy, "seen_at": now}
        values |= {"swept_at": now} if swept else {}
        values |= {"canary_sent_at": now} if canary_sent else {}
        async with self.database.writing() as work:
            await work.session.execute(update(workers).where(workers.c.name == self.name).values(values))

    async def canary_ran(self) -> None:
        row = update(workers).where(workers.c.name == self.name).values(canary_ran_at=func.clock_timestamp())
        async with self.database.writing() as work:
            await work.session.execute(row)

    async def end(self) -> None:
        async with self.database.writing() as work:
            await work.session.execute(delete(workers).where(workers.c.name == self.name))


async def is_alive(database: Database, name: str, *, seen_within: float, heard_within: float) -> bool:
    """Whether the worker showed itself lately (seconds), and whether messages reach it through the broker.

    A worker that has just begun need not have heard anything yet.
    """
    now = func.clock_timestamp()
    heard = func.greatest(workers.c.canary_ran_at, workers.c.started_at)
    row = select(workers.c.name).where(
        workers.c.name == name,
        workers.c.seen_at > now - timedelta(seconds=seen_within),
        heard > now - timedelta(seconds=heard_within),
    )
    async with database.reading() as reading:
        return await reading.scalar(row) is not None
