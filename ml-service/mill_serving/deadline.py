"""How long a caller waits: `X-Request-Deadline-Ms`, milliseconds from the moment the request arrived. The lane asks.

The front sets it for the task that answers a request. Work that cannot be done in time is refused rather than begun.
"""

import time
from contextvars import ContextVar

from mill_serving.errors import DeadlineMissed, InvalidRequest

HEADER = b"x-request-deadline-ms"
_LONGEST_MS = 3_600_000

DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)
"""In the time of `time.perf_counter`."""


def refuse_late() -> None:
    """Raises `DeadlineMissed` where nobody waits any more for what the current task would do."""
    deadline = DEADLINE.get()
    if deadline is not None and time.perf_counter() > deadline:
        raise DeadlineMissed(1)


def deadline_of(value: bytes) -> float:
    """Raises `InvalidRequest`."""
    if not value.isdigit() or len(value) > 7 or not 0 < int(value) <= _LONGEST_MS:
        raise InvalidRequest(f"X-Request-Deadline-Ms must be a whole number of milliseconds up to {_LONGEST_MS}")
    return time.perf_counter() + int(value) / 1e3
