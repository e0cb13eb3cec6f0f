"""How long a caller waits: `X-Request-Deadline-Ms`, milliseconds from the moment the request arrived. The lane asks.

The front sets it for the task that answers a request. Work that cannot be done in time is refused rather than begun.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
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


@contextlib.asynccontextmanager
async def in_time() -> AsyncGenerator[None]:
    """Until the deadline of the current task, if it has one. Raises `DeadlineMissed`."""
    deadline = DEADLINE.get()
    try:
        async with asyncio.timeout(None if deadline is None else deadline - time.perf_counter()):
            yield
    except TimeoutError:
        raise DeadlineMissed(1) from None


def deadline_of(value: bytes) -> float:
    """Raises `InvalidRequest`."""
    if not value.isdigit() or len(value) > 7 or not 0 < int(value) <= _LONGEST_MS:
        raise InvalidRequest(f"X-Request-Deadline-Ms must be a whole number of milliseconds up to {_LONGEST_MS}")
    return time.perf_counter() + int(value) / 1e3
