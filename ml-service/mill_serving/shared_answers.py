"""Answers given before by any worker of any replica, in Redis: the second level of the prediction cache. The engine alone uses it.

It is asked only where a look-up costs a fraction of predicting, by what both were measured to cost: the model when it was loaded, the
look-up again and again by `run`. While Redis is away nobody asks: from the first call that fails, or the third in a row that is slow,
until `run` has found it back.
An answer is kept under the package's sha256 and a hash of the row, so a new version never meets an old one's answers.
"""

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
from mill_kit.logs import get_logger
from mill_pack import Prediction

from mill_serving.answers import Key
from mill_serving.snapshot.line import Away, RedisLine

_PREFIX = "mill:answer:"
_LOOKUPS_WORTH_A_ROW = 4.0
_LONGEST_ANSWER = 4096
_MOST_ASKING = 32
_MOST_SLOW = 3
_MOST_WAITING = 1000
_WRITE_SECONDS = 0.1
_AGAIN_SECONDS = 1.0
_MEASURE_SECONDS = 1.0
_PROBES = 5
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Prediction).decode


@dataclass
class SharedAnswers:
    """Used on the event loop. `microseconds` is what a look-up costs, infinite while nobody may ask.

    A slow answer is waited for `patience` seconds.
    """

    line: RedisLine
    ttl_seconds: int
    patience: float = 0.005
    hits: int = 0
    misses: int = 0
    failures: int = 0
    microseconds: float = math.inf
    _asking: int = 0
    _slow: int = 0
    _measured: float = -math.inf
    _waiting: deque[tuple[str, bytes]] = field(default_factory=deque[tuple[str, bytes]])

    def pays(self, row_microseconds: float) -> bool:
        """Whether a look-up is worth it for rows of this cost."""
        return row_microseconds > _LOOKUPS_WORTH_A_ROW * self.microseconds and self._asking < _MOST_ASKING

    async def get(self, key: Key) -> Prediction | None:
        """None also when Redis fails or is slow."""
        self._asking += 1
        try:
            async with asyncio.timeout(self.patience):
                found = await self.line.get_short(_name(key), _LONGEST_ANSWER)
        except TimeoutError as error:
            self._slow += 1
            if self._slow >= _MOST_SLOW:
                self._close(error)
            return None
        except Away as error:
            self._close(error)
            return None
        finally:
            self._asking -= 1
        self._slow = 0
        answer = _read(found)
        if answer is None:
            self.misses += 1
        else:
            self.hits += 1
        return answer

    def put(self, key: Key, answer: Prediction) -> None:
        """Written a moment later. What is too long, or too much at once, is not."""
        value = _encode(answer)
        if self.microseconds < math.inf and len(value) < _LONGEST_ANSWER and len(self._waiting) < _MOST_WAITING:
            self._waiting.append((_name(key), value))

    async def run(self) -> None:
        """For ever: measure, and write what waits."""
        while True:
            try:
                if time.monotonic() - self._measured > _MEASURE_SECONDS:
                    await self._measure()
                if self._waiting:
                    batch = dict(self._waiting)
                    self._waiting.clear()
                    await self.line.set_all(batch, self.ttl_seconds)
                await asyncio.sleep(_WRITE_SECONDS)
            except Away as error:
                self._close(error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _measure(self) -> None:
        times: list[float] = []
        for _ in range(_PROBES):
            begun = time.perf_counter()
            await self.line.get_short(_PREFIX, _LONGEST_ANSWER)
            times.append(time.perf_counter() - begun)
        self._measured = time.monotonic()
        self.microseconds = min(times) * 1e6

    def _close(self, error: Exception) -> None:
        """Nobody asks from now on, until it was measured again."""
        self.failures, self._slow = self.failures + 1, 0
        if self.microseconds < math.inf:
            get_logger().warning("shared_answers_away", reason=f"{type(error).__name__}: {error}")
        self.microseconds, self._measured = math.inf, -math.inf
        self._waiting.clear()


def _name(key: Key) -> str:
    sha256, row = key
    return f"{_PREFIX}{sha256}:{blake2b(row, digest_size=20).hexdigest()}"


def _read(value: bytes) -> Prediction | None:
    """What is no answer of ours is none."""
    try:
        return _decode(value) if value and len(value) < _LONGEST_ANSWER else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
