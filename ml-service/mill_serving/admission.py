"""How much may be under way at once: the lane where block predictions and slow models run, and those who wait for a package.

A call is refused at once when its queue is full, for all or for its model, or when it would wait longer than its deadline; one
whose deadline passes or whose client leaves while it waits is not run. Rows that are predicted on the event loop wait in no queue:
they are answered in the turn in which they arrive, or refused when too many requests are open (`Doorway`, `PredictDoor`).
"""

import asyncio
import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mill_kit.logs import get_logger

from mill_serving.deadline import DEADLINE
from mill_serving.errors import DeadlineMissed, Overloaded, TooManyForModel

T = TypeVar("T")
_WEIGHT_OF_NEW = 0.1


@dataclass
class Arrivals:
    """Calls that wait until their model is loaded: bounded for all, and for each model."""

    limit: int
    limit_per_model: int
    waiting: int = 0
    refused: int = 0
    _per_model: Counter[str] = field(default_factory=Counter[str])

    @contextlib.contextmanager
    def one(self, model: str) -> Generator[None]:
        """For as long as it waits, at most until its deadline. Raises `Overloaded`, `TooManyForModel`."""
        if self.waiting >= self.limit:
            self.refused += 1
            raise Overloaded
        if self._per_model[model] >= self.limit_per_model:
            self.refused += 1
            raise TooManyForModel
        self.waiting += 1
        self._per_model[model] += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self._per_model[model] -= 1
            if not self._per_model[model]:
                del self._per_model[model]


class Lane:
    """Used on the event loop. Work releases the GIL inside numpy and the engines, so that single rows go on beside it.

    Nobody waits longer than `longest_wait` seconds for a thread. Where no threads can be had the event loop does the work itself.
    """

    def __init__(
        self, threads: int, waiting: int, waiting_per_model: int | None = None, longest_wait: float = math.inf
    ) -> None:
        self._threads = _pool(threads)
        self._limit = threads + waiting
        self._limit_per_model = threads + (waiting if waiting_per_model is None else waiting_per_model)
        self._longest_wait = longest_wait
        self._per_model: dict[str, int] = {}
        self._mean_seconds = 0.0
        self.size = threads if self._threads is not None else 1
        self.pending = 0
        self.running = 0
        self.done = 0
        self.busy_seconds = 0.0
        self.refused = 0
        self.dropped = 0

    @property
    def expected_wait(self) -> float:
        """Seconds until a new call would begin, as things went lately."""
        return self._mean_seconds * max(0, self.pending - self.size + 1) / self.size

    @property
    def spare(self) -> int:
        """Threads that nobody uses, and the caller's own: asked from within the lane."""
        return max(1, self.size - self.running + 1)

    async def run(self, work: Callable[[], T], model: str = "") -> T:
        """Raises `Overloaded`, `TooManyForModel` or `DeadlineMissed`. The deadline is that of the request (`deadline.DEADLINE`)."""
        deadline = min(DEADLINE.get() or math.inf, time.perf_counter() + self._longest_wait)
        self._admit(model, deadline)
        if self._threads is None:
            return self._timed(work, deadline)
        self.pending += 1
        self._per_model[model] = self._per_model.get(model, 0) + 1
        loop = asyncio.get_running_loop()
        job = self._threads.submit(self._timed, work, deadline)
        job.add_done_callback(lambda done: _on_loop(loop, self._leave, model, done))
        try:
            return await asyncio.shield(asyncio.wrap_future(job))
        except asyncio.CancelledError:
            self.dropped += job.cancel()  # what has not begun never will; a thread that is busy stays counted
            raise

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, model: str, deadline: float) -> None:
        wait = self.expected_wait
        retry = max(1, math.ceil(wait))
        refusal: Exception | None = None
        if self.pending >= self._limit:
            refusal = Overloaded(retry)
        elif self._per_model.get(model, 0) >= self._limit_per_model:
            refusal = TooManyForModel(retry)
        elif time.perf_counter() + wait + self._mean_seconds > deadline:
            refusal = DeadlineMissed(retry)
        if refusal is not None:
            self.refused += 1
            raise refusal

    def _timed(self, work: Callable[[], T], deadline: float) -> T:
        """Runs in a thread; its counts are exact enough without a lock."""
        begun = time.perf_counter()
        if begun > deadline:
            self.dropped += 1
            raise DeadlineMissed(1)
        self.running += 1
        try:
            return work()
        finally:
            self.running -= 1
            self._note(time.perf_counter() - begun)

    def _note(self, seconds: float) -> None:
        self.done += 1
        self.busy_seconds += seconds
        self._mean_seconds += (seconds - self._mean_seconds) * (_WEIGHT_OF_NEW if self.done > 1 else 1.0)

    def _leave(self, model: str, job: "Future[Any]") -> None:
        self.pending -= 1
        self._per_model[model] -= 1
        if not self._per_model[model]:
            del self._per_model[model]
        if not job.cancelled():
            job.exception()


def _pool(threads: int) -> ThreadPoolExecutor | None:
    """With all its threads running; None where the system gives none, or too few."""
    pool, gate = ThreadPoolExecutor(threads, thread_name_prefix="lane"), threading.Event()
    try:
        for _ in range(threads):
            pool.submit(gate.wait)
    except RuntimeError as error:
        get_logger().error("pool_not_built", threads=threads, reason=str(error))
        pool.shutdown(wait=False, cancel_futures=True)
        return None
    finally:
        gate.set()
    return pool


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
        loop.call_soon_threadsafe(call, *arguments)
