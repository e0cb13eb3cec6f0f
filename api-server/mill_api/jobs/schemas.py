"""What crosses the wire about jobs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from mill_contracts.jobs import JobKind, JobState, Queue
from pydantic import BaseModel, ConfigDict

from mill_api.jobs.tables import JobRow


class Job(BaseModel):
    """`problem` says why a job failed, or why its last attempt did; `subject_id` is the version it is about."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    kind: JobKind
    queue: Queue
    state: JobState
    attempt: int
    max_attempts: int
    progress: float | None
    stage: str | None
    subject_id: UUID | None
    waits_for: UUID | None
    retry_of: UUID | None
    requested_by: UUID | None
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    cancel_requested_at: datetime | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: JobRow) -> "Job":
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class LogLine(BaseModel):
    """`level` is the trainer's own, or `output` for a line of its standard output."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    level: str
    message: str


class LogPage(BaseModel):
    """Lines, oldest first. `next_after` is null at the end (of a running job: for now); else send it as `after`.

    `whole_log` is true when the complete text can be had from `/log`.
    """

    model_config = ConfigDict(frozen=True)

    lines: list[LogLine]
    next_after: int | None
    whole_log: bool
