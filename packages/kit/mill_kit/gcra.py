"""Token buckets as one number each (GCRA): the moment at which a bucket will be full again. In Redis and in this process.

A bucket of `burst` tokens gets `per_minute` new ones a minute; a request takes one from each bucket it belongs to, or from none
of them. Times are microseconds: in Redis its own clock, so that all api-servers agree. Used by the api-server's edge, request by
request; ml-service takes from buckets in its own process and settles with Redis afterwards (`CHARGE`).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MICRO = 1_000_000

SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local full, answer, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local before = tonumber(redis.call('GET', key) or '0')
  if before < now then before = now end
  if before > now + interval * burst then before = now + interval * burst end
  full[i] = before + interval
  local early = full[i] - interval * burst - now
  if early > 0 then refused = true end
  answer[3 * i - 2] = string.format('%.0f', before - now)
  answer[3 * i - 1] = string.format('%.0f', full[i] - now)
  answer[3 * i] = string.format('%.0f', early)
end
if not refused then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1)
  end
end
return answer
"""
"""For every key: how long until its bucket is full without and with this request, and by how much the request comes too early."""


CHARGE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answer = {}
for i, key in ipairs(KEYS) do
  local full = tonumber(redis.call('GET', key) or '0')
  if full < now then full = now end
  full = full + tonumber(ARGV[i])
  if full > now then redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1) end
  answer[i] = string.format('%.0f', full - now)
end
return answer
"""
"""For every key: add what was taken elsewhere (tokens times the interval), and say how long until its bucket is full."""


@dataclass(frozen=True)
class Rate:
    """`per_minute` tokens a minute into a bucket of `burst`."""

    per_minute: float
    burst: int

    @property
    def interval(self) -> float:
        """Microseconds for one token."""
        return 60 * MICRO / self.per_minute


@dataclass(frozen=True)
class Bucket:
    """`name` is what people are told (`address`, `user`, `key`, `workspace`); `key` is unique to whose bucket it is."""

    name: str
    key: str
    rate: Rate


@dataclass(frozen=True)
class Level:
    """A bucket after a request: tokens left, seconds until it is full, and, where refused, until there is a token.

    `early` is the last, not rounded: until then nobody gets one, whoever asks.
    """

    bucket: Bucket
    remaining: int
    full_after: int
    retry_after: int
    early: float = 0.0

    @property
    def refused(self) -> bool:
        return self.retry_after > 0


def levels(buckets: Sequence[Bucket], told: Sequence[float]) -> list[Level]:
    """`told` is the script's answer."""
    taken = all(told[3 * at + 2] <= 0 for at in range(len(buckets)))
    return [_level(bucket, *told[3 * at : 3 * at + 3], taken=taken) for at, bucket in enumerate(buckets)]


def _level(bucket: Bucket, before: float, after: float, early: float, *, taken: bool) -> Level:
    interval, burst = bucket.rate.interval, bucket.rate.burst
    used = after if taken else before
    return Level(
        bucket,
        remaining=max(0, math.floor(burst - used / interval + 1e-6)),
        full_after=math.ceil(used / MICRO),
        retry_after=max(1, math.ceil(early / MICRO)) if early > 0 else 0,
        early=max(0.0, early / MICRO),
    )


class LocalBuckets:
    """The same arithmetic in this process, for when Redis is away. Remembers the `most` buckets used last."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, buckets: Sequence[Bucket]) -> list[Level]:
        now, told = self._clock() * MICRO, list[float]()
        for bucket in buckets:
            interval, longest = bucket.rate.interval, bucket.rate.interval * bucket.rate.burst
            before = min(max(self._full_at.get(bucket.key, 0.0), now), now + longest)
            told += [before - now, before + interval - now, before + interval - longest - now]
        found = levels(buckets, told)
        if not any(level.refused for level in found):
            for at, bucket in enumerate(buckets):
                self._full_at[bucket.key] = now + told[3 * at + 1]
                self._full_at.move_to_end(bucket.key)
            while len(self._full_at) > self.most:
                self._full_at.popitem(last=False)
        return found


def arguments(buckets: Sequence[Bucket]) -> tuple[list[str], list[Any]]:
    """The script's KEYS and ARGV."""
    flat: list[Any] = []
    for bucket in buckets:
        flat += [bucket.rate.interval, bucket.rate.burst]
    return [bucket.key for bucket in buckets], flat
