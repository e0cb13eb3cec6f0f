"""What a domain tells the ledger about one kind of job. Implemented in each domain's `handlers.py`, registered at the root.

An attempt goes: `build` (short read) → inputs fetched → child runs → `store` (uploads, no transaction) → `apply` (in the
transaction that ends the job). A kind that needs no child has `build` return an errand, whose answer goes straight to `apply`.
A job that fails for good or is cancelled gets `undo` instead, in the transaction that ends it.
How a failure is treated follows from its kind: a `Problem` below 500 raised by any of these ends the job at once, as does
a `Refused` of the child; everything else (a crash, a store that does not answer) costs one attempt.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID

from mill_contracts.base import Contract
from mill_contracts.jobs import JobKind, Queue
from mill_contracts.wire import Succeeded

from mill_api.db import ReadSession, UnitOfWork
from mill_api.jobs.errors import UnknownKind
from mill_api.jobs.tables import JobRow, JsonObject


@dataclass(frozen=True)
class KindSettings:
    """How jobs of one kind are run. One constant per kind in the domain's `handlers.py`; `NewJob` takes it too.

    `timeout` is seconds of wall clock for the child, `memory_bytes` the resident memory of its whole process group.
    `command` starts the child; empty means the trainer (`python -m mill_trainer`).
    """

    kind: JobKind
    queue: Queue
    max_attempts: int = 3
    timeout: float = 4 * 3600
    memory_bytes: int = 4 * 2**30
    threads: int = 2
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """The claim a worker holds. `token` is part of every object key it writes; only this token may finish the job."""

    id: UUID
    tenant_id: UUID | None
    kind: JobKind
    queue: Queue
    token: UUID
    attempt: int
    max_attempts: int
    spec: JsonObject
    subject_id: UUID | None
    requested_by: UUID | None
    request_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Folders:
    """The attempt's private scratch folder, removed afterwards: inputs by name, what the child writes, its temp space."""

    inputs: Path
    out: Path
    scratch: Path


@dataclass(frozen=True)
class Input:
    """One object to fetch into `Folders.inputs / name` before the child starts; verified where `sha256` is given."""

    key: str
    name: str
    sha256: str | None = None


@dataclass(frozen=True)
class Plan:
    """What the child shall do: `verb` of the trainer, its inputs, and the task document for the folders it gets."""

    verb: str
    task: Callable[[Folders], Contract]
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """What a child that succeeded said, and left in `folders.out`."""

    folders: Folders
    said: Succeeded


Errand = Callable[[], Awaitable[JsonObject]]
"""Work without a child, done on the worker's event loop while heartbeats go on. Its answer is the job's result."""


class JobHandler(Protocol):
    """One kind of job. Everything here may run more than once for a job, but `apply` or `undo` takes effect once."""

    @property
    def settings(self) -> KindSettings: ...

    async def build(self, reading: ReadSession, attempt: Attempt) -> Plan | Errand:
        """Read what the child needs, or say what is to be done without one."""
        ...

    def store(self, attempt: Attempt, outputs: Outputs) -> JsonObject:
        """Upload under keys with `attempt.token`, return the job's result. Blocking; runs in a thread, no transaction."""
        ...

    async def apply(self, work: UnitOfWork, attempt: Attempt, result: JsonObject) -> None:
        """Write the domain's rows, in the transaction that makes the job `succeeded`. The tenant is set."""
        ...

    async def undo(self, work: UnitOfWork, job: JobRow) -> None:
        """The job has just become `failed` (see `job.problem`) or `cancelled`: put the domain's rows right."""
        ...

    async def retried(self, work: UnitOfWork, ended: JobRow, new: JobRow) -> None:
        """`new` repeats `ended`: point the domain's rows at it, or raise a `Problem` to refuse."""
        ...


@dataclass(frozen=True)
class Schedule:
    """A job the platform gives itself every so often; it has no tenant and ends through the system role."""

    name: str
    every: timedelta
    settings: KindSettings
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Registry:
    """Every kind this process knows, made once at the composition root: `Registry.of([ProfileHandler(...), …])`."""

    handlers: Mapping[JobKind, JobHandler] = field(default_factory=lambda: MappingProxyType({}))
    schedules: tuple[Schedule, ...] = ()

    @classmethod
    def of(cls, handlers: Iterable[JobHandler], schedules: Iterable[Schedule] = ()) -> "Registry":
        by_kind: dict[JobKind, JobHandler] = {}
        for handler in handlers:
            if handler.settings.kind in by_kind:
                raise ValueError(f"two handlers for {handler.settings.kind}")
            by_kind[handler.settings.kind] = handler
        return cls(MappingProxyType(by_kind), tuple(schedules))

    def handler(self, kind: JobKind) -> JobHandler:
        """Raises `UnknownKind`."""
        if kind not in self.handlers:
            raise UnknownKind(f"No handler is registered for jobs of kind {kind.value!r}")
        return self.handlers[kind]
