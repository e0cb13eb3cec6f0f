"""The lane where block predictions and slow models run: a few threads, a bounded queue, and a refusal beyond it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from mill_serving.errors import Overloaded

T = TypeVar("T")


class Lane:
    """Used on the event loop. Work releases the GIL inside numpy and the engines, so that single rows go on beside it."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lane")
        self._limit = threads + waiting
        self.pending = 0
        self.refused = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Raises `Overloaded` at once when as much runs and waits as may."""
        if self.pending >= self._limit:
            self.refused += 1
            raise Overloaded
        self.pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)  # a caller that leaves does not free a thread that is still busy

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self, future: "asyncio.Future[Any]") -> None:
        self.pending -= 1
        if not future.cancelled():
            future.exception()
