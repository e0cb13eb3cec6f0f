"""What is kept for a while only: answers to an Idempotency-Key and the history of predictions. Called by the job `sweep`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from mill_contracts.ids import WorkspaceId
from sqlalchemy import delete, func, select

from mill_api.access.repository import workspace_ids
from mill_api.db import UnitOfWork
from mill_api.jobs.ending import Databases
from mill_api.once.tables import IdempotencyKeyRow

_BATCH = 5000

Forget = Callable[[UnitOfWork], Awaitable[int]]
"""Deletes a bounded number of old rows of the transaction's workspace; says how many. 0 means that none is left."""


@dataclass(frozen=True)
class Retention:
    """`forget` are the domains' own rules, run for each workspace until nothing is left, a batch in each transaction."""

    databases: Databases
    answers: timedelta
    forget: tuple[Forget, ...] = ()

    async def run(self) -> int:
        """How many rows went."""
        async with self.databases.system.reading() as reading:
            tenants = await workspace_ids(reading)
        gone = await self._old_answers()
        for tenant in tenants:
            for forget in self.forget:
                gone += await self._of(WorkspaceId(tenant), forget)
        return gone

    async def _of(self, tenant: WorkspaceId, forget: Forget) -> int:
        gone = 0
        while True:
            async with self.databases.app.writing(tenant) as work:
                count = await forget(work)
            gone += count
            if not count:
                return gone

    async def _old_answers(self) -> int:
        """A batch at a time, so that no lock is held for long."""
        old = select(IdempotencyKeyRow.id).where(IdempotencyKeyRow.created_at < func.now() - self.answers)
        gone = 0
        while True:
            async with self.databases.system.writing() as work:
                found = await work.session.scalars(
                    delete(IdempotencyKeyRow)
                    .where(IdempotencyKeyRow.id.in_(old.limit(_BATCH)))
                    .returning(IdempotencyKeyRow.id)
                )
                count = len(found.all())
            gone += count
            if count < _BATCH:
                return gone
