"""Where snapshots come from: the object store, probed for the next number, and Redis, which announces them at once.

Each source runs for ever as a task of the app and outlives every outage of its part.
"""

import asyncio
import re
from dataclasses import dataclass, field

from mill_contracts.routing import SNAPSHOT_CHANNEL, SNAPSHOT_KEY, snapshot_object_key
from mill_kit.logs import get_logger
from mill_kit.problems import Problem
from mill_kit.store import ObjectMissing, ObjectStore

from mill_serving.packages import StoreHandle
from mill_serving.snapshot.keeper import SnapshotKeeper
from mill_serving.snapshot.line import Away, Channel, RedisLine

_NUMBERED = re.compile(r"published/(\d{12})\.json")
_LIST_EVERY = 20
_RECONNECT_SECONDS = 0.5


@dataclass
class StoreSource:
    """Looks for the next number every few seconds; lists them all at the start and now and then, should numbers have gaps."""

    store: StoreHandle
    keeper: SnapshotKeeper
    poll_seconds: float
    asked: bool = False
    last_error: str | None = "not asked yet"
    _bad: set[int] = field(default_factory=set[int])

    async def run(self) -> None:
        rounds = 0
        while True:
            try:
                await self._look(listing=rounds % _LIST_EVERY == 0)
                rounds += 1
                self.last_error = None
            except (Problem, OSError, ValueError) as error:
                rounds = 0
                _note(self, "object store", error)
            self.asked = True
            await asyncio.sleep(self.poll_seconds)

    async def check(self) -> None:
        if self.last_error:
            raise RuntimeError(self.last_error)

    async def _look(self, *, listing: bool) -> None:
        store = await asyncio.to_thread(self.store.get)
        held = self.keeper.number
        if listing or not held or held + 1 in self._bad:
            numbers = await asyncio.to_thread(_numbers, store)
            await self._take_highest(store, [number for number in numbers if number > held])
        else:
            await self._follow(store)
        if held and self.keeper.number == held and await asyncio.to_thread(store.exists, snapshot_object_key(held)):
            self.keeper.confirm()

    async def _take_highest(self, store: ObjectStore, numbers: list[int]) -> None:
        for number in sorted(numbers, reverse=True):
            if number not in self._bad and await self._take(store, number):
                return

    async def _follow(self, store: ObjectStore) -> None:
        """The next number, and the ones after it, as long as there are any."""
        number = self.keeper.number + 1
        while number not in self._bad and await asyncio.to_thread(store.exists, snapshot_object_key(number)):
            if not await self._take(store, number):
                return
            number = self.keeper.number + 1

    async def _take(self, store: ObjectStore, number: int) -> bool:
        try:
            data = await asyncio.to_thread(store.get, snapshot_object_key(number))
        except ObjectMissing:
            return False
        if await self.keeper.offer(data, "object store", expected=number):
            return True
        if self.keeper.number < number:
            self._bad.add(number)
        return False


@dataclass
class RedisSource:
    """Subscribes, then reads the latest, so that nothing falls between; reconnects for ever."""

    line: RedisLine
    keeper: SnapshotKeeper
    confirm_seconds: float = 5.0
    asked: bool = False
    last_error: str | None = "not asked yet"

    async def run(self) -> None:
        while True:
            try:
                await self._listen()
            except Away as error:
                _note(self, "redis", error)
            self.asked = True
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def check(self) -> None:
        if self.last_error:
            raise RuntimeError(self.last_error)

    async def _listen(self) -> None:
        async with self.line.subscribed(SNAPSHOT_CHANNEL) as channel:
            while True:
                await self._read_latest()
                self.asked, self.last_error = True, None
                await self._wait(channel)

    async def _wait(self, channel: Channel) -> None:
        """Until something is announced, or it is time to confirm again."""
        deadline = asyncio.get_running_loop().time() + self.confirm_seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            message = await channel.next(left)
            if message is not None:
                if message.startswith(b"{"):
                    await self.keeper.offer(message, "redis")
                return

    async def _read_latest(self) -> None:
        data = await self.line.get(SNAPSHOT_KEY)
        if data is not None:
            await self.keeper.offer(data, "redis")


def _numbers(store: ObjectStore) -> list[int]:
    found = (_NUMBERED.fullmatch(key) for key in store.keys("published/"))
    return [int(match[1]) for match in found if match]


def _note(source: StoreSource | RedisSource, name: str, error: Exception) -> None:
    """Log an outage once, not every round."""
    reason = f"{type(error).__name__}: {error}"
    if source.last_error != reason:
        get_logger().warning("snapshot_source_away", source=name, reason=reason)
    source.last_error = reason
