"""What is loaded: an LRU of open packages under a byte budget, with single-flight loads. The engine asks it, the rollout warms it.

Used on the event loop only; the loading itself runs in threads. An evicted package lives until its last running call is done,
because each call holds it.
"""

import asyncio
import gc
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mill_serving.errors import ModelUnavailable
from mill_serving.targets import Target

_EVICTIONS_PER_TIDYING = 64


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Loaded = TypeVar("Loaded", bound=Sized)


@dataclass
class RegistryCounts:
    hits: int = 0
    misses: int = 0
    loads: int = 0
    failures: int = 0
    evictions: int = 0


class Registry(Generic[Loaded]):
    """`load` opens a target's package, blocking; the registry calls it in one of its own threads, once at a time per package.

    `warm` is awaited with what was loaded, and gives what is kept: for what must not hold up a thread that others need.
    """

    def __init__(
        self,
        load: Callable[[Target], Loaded],
        budget: int,
        threads: int = 2,
        warm: Callable[[Loaded], Awaitable[Loaded]] | None = None,
    ) -> None:
        self._load = load
        self._warm = warm
        self._budget = budget
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Loaded]] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self.bytes = 0
        self.counts = RegistryCounts()
        self._tidied = 0
        self._unwanted: set[str] = set()

    @property
    def budget(self) -> int:
        return self._budget

    def __len__(self) -> int:
        return len(self._loaded)

    def holds(self, target: Target) -> bool:
        """Without counting as a use."""
        return target.sha256 in self._loaded

    def peek(self, target: Target) -> Loaded | None:
        """The loaded package, now the most recently used one, or None."""
        loaded = self._loaded.get(target.sha256)
        if loaded is not None:
            self.counts.hits += 1
            self._loaded.move_to_end(target.sha256)
        return loaded

    async def get(self, target: Target) -> Loaded:
        """Load it if need be. All callers of one package share one load, and none of them cancels it by leaving."""
        loaded = self.peek(target)
        if loaded is not None:
            return loaded
        self.counts.misses += 1
        flight = self._flights.get(target.sha256)
        if flight is None:
            flight = asyncio.create_task(self._fly(target), name=f"load {target.version_id}")
            flight.add_done_callback(_look_at)
            self._flights[target.sha256] = flight
        return await asyncio.shield(flight)

    def drop(self, target: Target) -> bool:
        """Make room now. Running calls keep theirs, and the next call loads it again; one that is being loaded is not kept."""
        if target.sha256 in self._flights:
            self._unwanted.add(target.sha256)
        dropped = self._loaded.pop(target.sha256, None)
        if dropped is None:
            return False
        self.bytes -= dropped.nbytes
        self.counts.evictions += 1
        return True

    async def close(self) -> None:
        flights = list(self._flights.values())
        if flights:
            await asyncio.wait(flights, timeout=5.0)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fly(self, target: Target) -> Loaded:
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._threads, self._load, target)
            if self._warm is not None:
                loaded = await self._warm(loaded)
            if target.sha256 in self._unwanted:
                self.counts.loads += 1
            else:
                self._admit(target, loaded)
        except BaseException:
            self.counts.failures += 1
            raise
        finally:
            del self._flights[target.sha256]
            self._unwanted.discard(target.sha256)
        return loaded

    def _admit(self, target: Target, loaded: Loaded) -> None:
        if loaded.nbytes > self._budget:
            raise ModelUnavailable(f"it needs {loaded.nbytes:,} bytes, the whole cache has {self._budget:,}")
        while self._loaded and self.bytes + loaded.nbytes > self._budget:
            _, evicted = self._loaded.popitem(last=False)
            self.bytes -= evicted.nbytes
            self.counts.evictions += 1
        self._loaded[target.sha256] = loaded
        self.bytes += loaded.nbytes
        self.counts.loads += 1
        self._tidy()

    def _tidy(self) -> None:
        """Now and then what was frozen with packages since evicted is looked at again, or its cycles would stay for ever."""
        if self.counts.evictions - self._tidied >= _EVICTIONS_PER_TIDYING:
            self._tidied = self.counts.evictions
            gc.unfreeze()
        gc.collect()
        gc.freeze()  # what a package holds lives long: later collections need not look at it


def _look_at(flight: "asyncio.Task[object]") -> None:
    """Every caller may have left: the failure is then counted, not reported as never retrieved."""
    if not flight.cancelled():
        flight.exception()
