"""The vocabulary of jobs: kinds, queues, states and the moves between them (the ledger is `mill_api.jobs`)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Queue(StrEnum):
    ML = "ml"
    DATA = "data"
    GENERAL = "general"


class JobKind(StrEnum):
    PROFILE = "profile"
    TRAIN = "train"
    SCORE = "score"
    SWEEP = "sweep"
    ADOPT = "adopt"


class JobState(StrEnum):
    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return not LEGAL_MOVES[self]


LEGAL_MOVES: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.WAITING: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
        JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
        JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED}),
        JobState.SUCCEEDED: frozenset(),
        JobState.FAILED: frozenset(),
        JobState.CANCELLED: frozenset(),
    }
)
