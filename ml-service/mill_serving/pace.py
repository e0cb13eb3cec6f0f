"""What a model's blocks cost by the byte of their body, as it went lately, and whether rows are about: the engine asks whether a
block is short enough to be answered on the event loop.

A loaded model has a `Pace`. Its figures are written by the lane's threads too; one that is lost to another does no harm.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
_WEIGHT_OF_SLOWER, _WEIGHT_OF_FASTER = 0.1, 0.5
_ALONE_AFTER = 0.002


@dataclass(frozen=True, slots=True)
class Pace:
    """µs of the thread's CPU time per byte, by the form of the body."""

    _per_byte: dict[str, float] = field(default_factory=dict[str, float])

    def expected(self, form: str, size: int) -> float:
        """µs; infinite before the first."""
        return self._per_byte.get(form, math.inf) * size

    def timed(self, form: str, size: int, work: Callable[[], T]) -> T:
        """Run `work`, and remember what it cost where it ended well. A first one that was slow is soon forgotten."""
        begun = time.thread_time()
        found = work()
        new = (time.thread_time() - begun) * 1e6 / max(size, 1)
        old = self._per_byte.get(form, new)
        self._per_byte[form] = old + (new - old) * (_WEIGHT_OF_FASTER if new < old else _WEIGHT_OF_SLOWER)
        return found


@dataclass(slots=True)
class Company:
    """When a single row was last answered on the event loop: a block must not take its turns while others follow."""

    row: float = -math.inf

    def is_near(self, now: float) -> bool:
        return now - self.row < _ALONE_AFTER
