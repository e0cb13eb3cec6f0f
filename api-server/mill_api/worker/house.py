"""What lives on the worker's one event loop: the engines, the running attempts, the reconciler. Made by `worker.process`.

Celery's threads hand it a hint and wait. It also looks for itself after each sweep, so a broker that is away for hours
costs latency and no job.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

from mill_kit.logs import get_logger
from mill_kit.store import ObjectStore
from mill_kit.store.open import open_store
from mill_kit.telemetry import Tracer, open_tracer
from mill_kit.telemetry.store import traced

from mill_api.db import Database
from mill_api.db.away import AWAY
from mill_api.db.schema import require_current_schema
from mill_api.db.store_identity import require_same_store
from mill_api.jobs import schedules
from mill_api.jobs.ending import Databases, Endings
from mill_api.jobs.handlers import Registry
from mill_api.jobs.leases import Leases
from mill_api.jobs.sweep import Sweep
from mill_api.jobs.workers import WorkerRow
from mill_api.queue import Sender
from mill_api.settings import ProcessSettings
from mill_api.worker.attempt import Attempts, Patience
from mill_api.worker.finishing import Finishing
from mill_api.worker.scratch import Scratch

MakeRegistry = Callable[[ProcessSettings, ObjectStore, Databases], Registry]


@dataclass(frozen=True)
class Identity:
    """Which worker this is. `name` is stable over restarts; `node` is what Celery calls it."""

    name: str
    node: str
    queues: tuple[str, ...]
    concurrency: int


@dataclass
class Pulse:
    """What changes while the house stands. `hints` counts wake-ups, so that none is lost between a look and an exit."""

    busy: int = 0
    hints: int = 0
    unanswered_since: float | None = None


@dataclass(frozen=True)
class House:
    identity: Identity
    attempts: Attempts
    sweep: Sweep
    row: WorkerRow
    sender: Sender
    sweep_seconds: float
    silence_seconds: float
    stopping: asyncio.Event
    idle: asyncio.Event
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    pulse: Pulse = field(default_factory=Pulse)

    async def drain(self) -> None:
        """Claim and run until nothing is queued. Returns at once where all slots are at it: they will see the hint."""
        self.pulse.hints += 1
        if self.pulse.busy >= self.identity.concurrency:
            return
        self.pulse.busy += 1
        self.idle.clear()
        try:
            while not self.stopping.is_set():
                seen = self.pulse.hints
                attempt = await self.attempts.leases.claim(self.identity.queues)
                if attempt is not None:
                    await self.attempts.run(attempt)
                elif self.pulse.hints == seen:
                    return
        except AWAY as error:
            get_logger().warning("claim_failed", error=repr(error))
        finally:
            self.pulse.busy -= 1
            if not self.pulse.busy:
                self.idle.set()

    async def reconcile(self) -> None:
        """Sweep, look, show that we live; for ever. Nothing that fails here ends it."""
        drains: set[asyncio.Task[None]] = set()
        try:
            while not self.stopping.is_set():
                try:
                    await self._round()
                except AWAY as error:
                    get_logger().warning("sweep_failed", error=repr(error))
                except Exception:
                    get_logger().exception("sweep_failed")
                drains = {task for task in drains if not task.done()} | {asyncio.create_task(self.drain())}
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), self.sweep_seconds)
        finally:
            await asyncio.gather(*drains, return_exceptions=True)

    async def canary_ran(self) -> None:
        """Called through the broker: hints reach us."""
        self.pulse.unanswered_since = None
        await self.row.canary_ran()

    async def _round(self) -> None:
        swept = await self.sweep.run()
        sent = await self.sender.canary(self.identity.node)
        self._watch(sent)
        await self.row.seen(busy=self.pulse.busy, swept=swept, canary_sent=sent)

    def _watch(self, sent: bool) -> None:
        """Canaries that leave and never arrive mean that Celery has gone deaf: start anew."""
        now = asyncio.get_running_loop().time()
        if not sent:
            self.pulse.unanswered_since = None
        elif self.pulse.unanswered_since is None:
            self.pulse.unanswered_since = now
        elif now - self.pulse.unanswered_since > self.silence_seconds:
            get_logger().error("worker_is_deaf", seconds=now - self.pulse.unanswered_since)
            self.silent.set()


@asynccontextmanager
async def open_house(
    settings: ProcessSettings, identity: Identity, make_registry: MakeRegistry
) -> AsyncGenerator[House]:
    """Everything opened and checked; closed again in the opposite order."""
    async with contextlib.AsyncExitStack() as stack:
        sender = Sender.connect(settings.broker.url.get_secret_value())
        stack.callback(sender.close)
        tracer = open_tracer(
            settings.telemetry, "worker", version("mill-api"), f"{socket.gethostname()}/{identity.name}"
        )
        stack.push_async_callback(asyncio.to_thread, tracer.close)
        databases = _connect(settings, identity, sender, tracer)
        stack.push_async_callback(databases.app.close)
        stack.push_async_callback(databases.system.close)
        store = traced(_store(settings), tracer)
        await require_current_schema(databases.app.engine)
        await require_same_store(databases.app, store)
        registry = make_registry(settings, store, databases)
        house = _build(settings, identity, databases, registry, store, sender)
        house.attempts.scratch.prepare()
        await house.row.begin()
        async with databases.system.writing() as work:
            for schedule in registry.schedules:
                await schedules.declare(work, schedule)
        yield house
        with contextlib.suppress(*AWAY):
            await house.row.end()


def _build(
    settings: ProcessSettings,
    identity: Identity,
    databases: Databases,
    registry: Registry,
    store: ObjectStore,
    sender: Sender,
) -> House:
    worker = settings.worker
    stopping, idle = asyncio.Event(), asyncio.Event()
    idle.set()
    leases = Leases(databases.system, worker.lease_seconds, identity.name, settings.quotas.running_jobs)
    endings = Endings(registry, worker.retry_seconds)
    finishing = Finishing(databases, leases, endings, stopping)
    attempts = Attempts(
        databases=databases,
        leases=leases,
        registry=registry,
        finishing=finishing,
        store=store,
        scratch=Scratch(worker.scratch_dir, identity.name),
        patience=Patience(worker.heartbeat_seconds),
        stopping=stopping,
        tracer=databases.app.tracer,
    )
    return House(
        identity=identity,
        attempts=attempts,
        sweep=Sweep(databases, endings, worker.sweep_seconds, worker.keep_events_days),
        row=WorkerRow(databases.system, identity.name, identity.queues, identity.concurrency),
        sender=sender,
        sweep_seconds=worker.sweep_seconds,
        silence_seconds=worker.silence_seconds,
        stopping=stopping,
        idle=idle,
    )


def _connect(settings: ProcessSettings, identity: Identity, sender: Sender, tracer: Tracer) -> Databases:
    """What the system role does (claims, heartbeats of many hours) is no step of a job, and not followed."""
    size, name = 2 * (identity.concurrency + 2), f"mill-worker-{identity.name}"
    app = Database.connect(
        settings.database.url.get_secret_value(), pool_size=size, application=name, wake=sender.wake, tracer=tracer
    )
    system = Database.connect(
        settings.database.system_url.get_secret_value(), pool_size=size, application=name, wake=sender.wake
    )
    return Databases(app, system)


def _store(settings: ProcessSettings) -> ObjectStore:
    keys = (settings.store.access_key, settings.store.secret_key)
    return open_store(settings.store.url, *(key.get_secret_value() if key else None for key in keys))
