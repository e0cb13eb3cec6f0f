"""A kind of job for tests of the ledger: its child speaks as the spec says, and a table tells what took effect.

`WITNESS_SQL` makes the table as mill_owner; `WitnessHandler` writes `applied` or `undone` into it in the transaction that ends
the job, so a second effect of the same job is an error of the database.
"""

# ruff: noqa: ARG002 - the witness keeps to the protocol and needs little of it
import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from mill_contracts.base import Contract
from mill_contracts.ids import JobId, WorkspaceId, new_id
from mill_contracts.jobs import JobKind, JobState, Queue
from mill_kit.problems import Unavailable
from mill_kit.store import ObjectStore
from mill_kit.testing import MemoryStore
from sqlalchemy import text

from mill_api.db import Database, ReadSession, UnitOfWork
from mill_api.jobs.ending import Databases, Endings
from mill_api.jobs.errors import NothingToRetry
from mill_api.jobs.handlers import Attempt, Errand, Folders, KindSettings, Outputs, Plan, Registry
from mill_api.jobs.leases import Leases
from mill_api.jobs.service import NewJob, enqueue
from mill_api.jobs.sweep import Sweep
from mill_api.jobs.tables import JobRow, JsonObject
from mill_api.queue import Sender

WITNESS_SQL: Sequence[str] = (
    "CREATE TABLE witness (job_id uuid PRIMARY KEY, token uuid, effect text NOT NULL)",
    "GRANT SELECT, INSERT ON witness TO mill_app, mill_system",
)
_EXPIRE = text("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE id = :id")
_ADD = text("INSERT INTO witness (job_id, token, effect) VALUES (:job, :token, :effect)")


class SpeakTask(Contract):
    """What the speaking child is told."""

    steps: list[dict[str, Any]]
    out_dir: Path


def witness_settings(kind: JobKind = JobKind.PROFILE, queue: Queue = Queue.DATA, **changes: Any) -> KindSettings:
    return replace(KindSettings(kind, queue, timeout=60.0), **changes)


@dataclass(frozen=True)
class WitnessHandler:
    settings: KindSettings
    store_at: ObjectStore

    async def build(self, reading: ReadSession, attempt: Attempt) -> Plan | Errand:
        steps: list[dict[str, Any]] | None = attempt.spec.get("steps")
        if steps is None:
            return _nothing

        def task(folders: Folders) -> Contract:
            return SpeakTask(steps=steps, out_dir=folders.out)

        return Plan("speak", task)

    def store(self, attempt: Attempt, outputs: Outputs) -> JsonObject:
        if "store_needs" in attempt.spec and not Path(attempt.spec["store_needs"]).exists():
            raise Unavailable("not yet")
        keys: list[str] = []
        for name in outputs.said.files:
            keys.append(f"witness/{attempt.id}/{attempt.token}/{name}")
            self.store_at.put_file(keys[-1], outputs.folders.out / name)
        return {"objects": keys}

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: JsonObject) -> None:
        if "apply_fails" in attempt.spec:
            raise RuntimeError(attempt.spec["apply_fails"])
        if "apply_needs" in attempt.spec and not await asyncio.to_thread(Path(attempt.spec["apply_needs"]).exists):
            raise Unavailable("not yet")
        await work.session.execute(_ADD, {"job": attempt.id, "token": attempt.token, "effect": "applied"})

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        await work.session.execute(_ADD, {"job": job.id, "token": job.token, "effect": "undone"})

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:
        if ended.spec.get("once"):
            raise NothingToRetry("This one is done once only")


async def _nothing() -> JsonObject:
    return {}


async def until(
    condition: Callable[[], Awaitable[bool]],
    what: str,
    *,
    seconds: float = 25,
    forgive: tuple[type[Exception], ...] = (),
) -> None:
    """Wait for `condition`, asking again and again; an error of `forgive` counts as no."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(*forgive):
            if await condition():
                return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.05)


@dataclass
class Ledger:
    """A ledger to be asked and to be moved by hand. `wakes` collects the hints that were sent after commits."""

    databases: Databases
    registry: Registry
    wakes: list[UUID] = field(default_factory=list[UUID])
    tenant: WorkspaceId = field(default_factory=lambda: WorkspaceId(new_id()))

    def leases(self, worker: str = "one", lease: float = 30) -> Leases:
        return Leases(self.databases.system, lease, worker)

    @property
    def endings(self) -> Endings:
        return Endings(self.registry, retry_delay=0)

    def sweep(self, resend_after: float = 0) -> Sweep:
        return Sweep(self.databases, self.endings, resend_after)

    async def add(
        self,
        *,
        waits_for: JobId | None = None,
        max_attempts: int = 3,
        kind: tuple[JobKind, Queue] = (JobKind.PROFILE, Queue.DATA),
        **spec: Any,
    ) -> JobId:
        settings = witness_settings(*kind, max_attempts=max_attempts)
        async with self.databases.app.writing(self.tenant) as work:
            row = await enqueue(work, NewJob(settings, self.tenant, spec, waits_for=waits_for))
            return JobId(row.id)

    async def job(self, job_id: UUID) -> JobRow:
        async with self.databases.system.reading() as reading:
            return await reading.get_one(JobRow, job_id)

    async def state(self, job_id: UUID) -> JobState:
        return (await self.job(job_id)).state

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        async with self.databases.system.writing() as work:
            rows = await work.session.execute(text(statement), values)
            return [tuple(row) for row in rows] if statement.startswith("SELECT") else []

    async def path(self, job_id: UUID) -> list[str]:
        """The states the job went through, by its events."""
        rows = await self.sql(
            "SELECT data->>'state' FROM job_events WHERE job_id = :id AND kind = 'state' ORDER BY seq", id=job_id
        )
        return [row[0] for row in rows]

    async def effects(self, job_id: UUID) -> list[str]:
        return [row[0] for row in await self.sql("SELECT effect FROM witness WHERE job_id = :id", id=job_id)]

    async def until_state(self, job_id: UUID, state: JobState) -> None:
        async def reached() -> bool:
            return await self.state(job_id) is state

        await until(reached, f"the job is {state.value}")

    async def until_heard(self) -> None:
        """A worker has executed its canary: it runs, and hints reach it."""

        async def heard() -> bool:
            return bool(await self.sql("SELECT name FROM workers WHERE canary_ran_at IS NOT NULL"))

        await until(heard, "a worker has shown that it executes")

    async def let_lease_expire(self, job_id: UUID) -> None:
        async with self.databases.system.writing() as work:
            await work.session.execute(_EXPIRE, {"id": job_id})


@asynccontextmanager
async def open_ledger(owner_url: str, app_url: str, system_url: str, broker_url: str) -> AsyncGenerator[Ledger]:
    """On a migrated database, with the witness table; hints go through the broker, as the api-server sends them."""
    owner = Database.connect(owner_url)
    async with owner.writing() as work:
        for statement in WITNESS_SQL:
            await work.session.execute(text(statement))
    await owner.close()
    sender = Sender.connect(broker_url)
    databases = Databases(Database.connect(app_url, wake=sender.wake), Database.connect(system_url))
    kinds = ((JobKind.PROFILE, Queue.DATA), (JobKind.TRAIN, Queue.ML), (JobKind.SWEEP, Queue.GENERAL))
    try:
        yield Ledger(databases, Registry.of([WitnessHandler(witness_settings(*kind), MemoryStore()) for kind in kinds]))
    finally:
        await databases.app.close()
        await databases.system.close()
        sender.close()
