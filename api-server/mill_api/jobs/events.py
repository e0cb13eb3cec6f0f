"""Live events of one job as server-sent events: short reads of `job_events`, so that nothing is held while a client listens.

`seq` is the event's id: a client that comes back with `Last-Event-ID` misses nothing. The stream ends with the job, or after a
while, and then the client comes back; and it ends, within a look, with the right of its listener.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobState
from sqlalchemy import select

from mill_api.access.principal import Principal
from mill_api.access.recognise import is_still_let_in
from mill_api.db import Database
from mill_api.jobs.tables import JobRow, job_events

_BATCH = 500


@dataclass(frozen=True)
class EventStream:
    """Seconds: between two looks, between two signs of life, and until the client is sent to come back."""

    database: Database
    listener: Principal
    look_every: float = 0.4
    sign_every: float = 10.0
    longest: float = 840.0

    async def of(self, job_id: UUID, after: int) -> AsyncGenerator[bytes]:
        """Every event later than `after`, until the job has ended and all is told."""
        clock = asyncio.get_running_loop().time
        begun = said = clock()
        yield b"retry: 1000\n\n"
        while clock() - begun < self.longest:
            found = await asyncio.shield(self._later(job_id, after))  # a client that leaves tears no connection
            if found is None:
                return
            events, ended = found
            for event in events:
                after = event.seq
                yield _render(event)
            if ended and len(events) < _BATCH:
                return
            if events:
                said = clock()
            elif clock() - said > self.sign_every:
                said = clock()
                yield b": still here\n\n"
            if len(events) < _BATCH:
                await asyncio.sleep(self.look_every)

    async def _later(self, job_id: UUID, after: int) -> tuple[Sequence[Any], bool] | None:
        """The events, and whether the job had ended *before* they were read, so that none can follow; None for a stranger."""
        query = select(job_events.c.seq, job_events.c.at, job_events.c.kind, job_events.c.data)
        query = query.where(job_events.c.job_id == job_id, job_events.c.seq > after)
        async with self.database.reading(self.listener.workspace_id) as reading:
            if not await is_still_let_in(reading, self.listener):
                return None
            state = await reading.scalar(select(JobRow.state).where(JobRow.id == job_id))
            rows = (await reading.execute(query.order_by(job_events.c.seq).limit(_BATCH))).all()
        return rows, state is None or JobState(state).is_final


def _render(event: Any) -> bytes:
    data = json.dumps({**event.data, "at": event.at.isoformat()}, ensure_ascii=False)
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {data}\n\n".encode()
