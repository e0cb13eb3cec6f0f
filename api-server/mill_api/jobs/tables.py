"""The rows of the ledger (migration 0002). Domains read `JobRow`; only `jobs.repository` and `jobs.sweep` change it.

The database itself guards the ledger: a trigger refuses illegal moves and any change of an ended job, and writes one
`job_events` row for every change of state, progress or stage. Whoever adds an event holds the job's row lock, so the
events of one job become visible in the order of `seq`.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobKind, JobState, Queue
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Interval,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mill_api.db.rows import Row

JsonObject = dict[str, Any]

_UUID = postgresql.UUID(as_uuid=True)
_MOMENT = DateTime(timezone=True)


def _words(enum: type[StrEnum]) -> Enum:
    """A `StrEnum` kept as plain text; the migration's CHECK lists the words."""
    return Enum(enum, native_enum=False, create_constraint=False, length=20, values_callable=_values)


def _values(enum: type[StrEnum]) -> list[str]:
    return [member.value for member in enum]


class JobRow(Row):
    """One thing to do, once. `tenant_id` is None for the platform's own jobs (schedules), which no tenant sees.

    `token` names the attempt that may finish the job; `lease_until` is renewed by its heartbeat (database clock).
    `attempt` counts claims; a job given back by a worker that shuts down is not charged for it.
    """

    __tablename__ = "jobs"

    tenant_id: Mapped[UUID | None]
    kind: Mapped[JobKind] = mapped_column(_words(JobKind))
    queue: Mapped[Queue] = mapped_column(_words(Queue))
    state: Mapped[JobState] = mapped_column(_words(JobState))
    attempt: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    max_attempts: Mapped[int]
    token: Mapped[UUID | None]
    worker: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    progress: Mapped[float | None]
    stage: Mapped[str | None] = mapped_column(Text)
    spec: Mapped[JsonObject] = mapped_column(JSONB)
    result: Mapped[JsonObject | None] = mapped_column(JSONB(none_as_null=True))
    problem: Mapped[JsonObject | None] = mapped_column(JSONB(none_as_null=True))
    waits_for: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id"))
    retry_of: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    subject_id: Mapped[UUID | None]
    requested_by: Mapped[UUID | None]
    request_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)
    log_tail: Mapped[list[JsonObject]] = mapped_column(JSONB, default=list, server_default=text("'[]'::jsonb"))
    log_key: Mapped[str | None] = mapped_column(Text)
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_jobs_claim", "queue", "queued_at", "id", postgresql_where=text("state = 'queued'")),
        Index("ix_jobs_lease", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_jobs_waiting", "waits_for", postgresql_where=text("state = 'waiting'")),
        Index("ix_jobs_tenant_id_id", "tenant_id", "id"),
        Index("ix_jobs_subject_id", "subject_id"),
    )


job_events = Table(
    "job_events",
    Row.metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", _UUID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("tenant_id", _UUID),
    Column("at", _MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Column("kind", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    Index("ix_job_events_job_id_seq", "job_id", "seq"),
    Index("ix_job_events_at", "at", postgresql_using="brin"),
)
"""Append-only: `kind` is state, progress, stage or log. `seq` is the `id` of a server-sent event."""


class ScheduleRow(Row):
    """Work the platform gives itself: every `every`, one job of `kind`. Written at start by `jobs.schedules.declare`."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(Text)
    every: Mapped[timedelta] = mapped_column(Interval)
    kind: Mapped[JobKind] = mapped_column(_words(JobKind))
    queue: Mapped[Queue] = mapped_column(_words(Queue))
    max_attempts: Mapped[int]
    spec: Mapped[JsonObject] = mapped_column(JSONB)
    next_due: Mapped[datetime]

    __table_args__ = (UniqueConstraint("name"),)


schedule_runs = Table(
    "schedule_runs",
    Row.metadata,
    Column("schedule", Text, primary_key=True),
    Column("due", _MOMENT, primary_key=True),
    Column("job_id", _UUID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, unique=True),
)
"""One row per tick: the primary key makes two reconcilers with one clock agree on one job."""


workers = Table(
    "workers",
    Row.metadata,
    Column("name", Text, primary_key=True),
    Column("queues", postgresql.ARRAY(Text), nullable=False),
    Column("concurrency", BigInteger, nullable=False),
    Column("busy", BigInteger, nullable=False, server_default=text("0")),
    Column("started_at", _MOMENT, nullable=False),
    Column("seen_at", _MOMENT, nullable=False),
    Column("swept_at", _MOMENT),
    Column("canary_sent_at", _MOMENT),
    Column("canary_ran_at", _MOMENT),
)
"""The heartbeat of each worker process and its canary: when it was sent through the broker and when it was executed."""


job_counters = Table(
    "job_counters",
    Row.metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Counters that outlive processes: lease expiries, fencing refusals, re-sends."""
