"""How often one may ask for predictions: token buckets in this process, settled with Redis in the background.

A prediction takes microseconds, so no call leaves the process for it. What was taken here is added to the buckets in Redis a few
times a second, and what others took comes back with it: over time all workers and replicas together keep to the rate, at once each
may let one burst through. While Redis is away each counts for itself. `limited.LimitedEngine` asks, once for each prediction.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from mill_kit.gcra import CHARGE, MICRO, Bucket, Level, Rate
from mill_kit.http.addresses import TrustedProxies, counted_address
from mill_kit.http.limits import asks_too_often, limit_headers
from mill_kit.logs import get_logger
from mill_kit.problems import TooManyRequests

from mill_serving.connection import Headers, HotAnswer
from mill_serving.snapshot.line import Away
from mill_serving.targets import Principal

_KEYS_AT_ONCE = 500
_AWAY_SECONDS = 5.0
_FORWARDED = b"x-forwarded-for"


SENDER: ContextVar[tuple[str, Headers] | None] = ContextVar("sender", default=None)
"""The peer and the headers of a request that is answered in a task of its own: only strangers are counted by their address."""


@dataclass(frozen=True)
class Rates:
    """For one key or user, for a whole workspace, for an address without a valid key; None is no limit."""

    caller: Rate | None = None
    workspace: Rate | None = None
    address: Rate | None = None


class Line(Protocol):
    """What is used of Redis."""

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[float]) -> list[float]: ...


class _Counted:
    """A bucket as this process sees it. Times are seconds of the limiter's clock; `taken` since it was settled last."""

    __slots__ = ("bucket", "full_at", "interval", "is_noted", "room", "taken")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.interval = bucket.rate.interval / MICRO
        self.room = self.interval * (bucket.rate.burst - 1) + 1e-9
        self.full_at = 0.0
        self.taken = 0
        self.is_noted = False


Buckets = tuple[_Counted, ...]


@dataclass
class Limiter:
    """Used on the event loop. At most `most` callers and as many addresses are remembered, those that came last."""

    rates: Rates
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    most: int = 10_000
    clock: Callable[[], float] = time.monotonic
    caller: Principal | None = None
    """Who asks now; None is a stranger. Set right before `take`."""
    _callers: OrderedDict[int, tuple[Principal, Buckets]] = field(
        default_factory=OrderedDict[int, tuple[Principal, Buckets]], init=False
    )
    _counted: OrderedDict[str, _Counted] = field(default_factory=OrderedDict[str, _Counted], init=False)
    _noted: list[_Counted] = field(default_factory=list[_Counted], init=False)
    _last: Buckets = field(default=(), init=False)
    _peer: str | None = field(default=None, init=False)
    _headers: Headers = field(default_factory=list[tuple[bytes, bytes]], init=False)

    def __len__(self) -> int:
        """Callers and buckets that are remembered."""
        return len(self._callers) + len(self._counted)

    def take(self) -> None:
        """One token from each bucket of the caller, or `TooManyRequests` and none."""
        caller = self.caller
        known = None if caller is None else self._callers.get(id(caller))
        self._take(known[1] if known is not None and known[0] is caller else self._buckets_of(caller))

    def _take(self, buckets: Buckets) -> None:
        now = self.clock()
        for one in buckets:
            if one.full_at - now > one.room:
                raise self._refusal(one, now)
        for one in buckets:
            full_at = one.full_at
            one.full_at = (full_at if full_at > now else now) + one.interval
            one.taken += 1
            if not one.is_noted:
                one.is_noted = True
                self._noted.append(one)
        self._last = buckets

    def at_once(
        self, answer: HotAnswer, peer: str, path: bytes, headers: Headers, body: bytes
    ) -> tuple[bytes, bytes, bytes] | None:
        """Try to `answer` without a task. What gives up is taken up again in a task, asks again, and is counted then."""
        self._peer, self._headers, self._last = peer, headers, ()
        found = answer(path, headers, body)
        self._peer = None
        if found is None:
            for one in self._last:
                one.full_at -= one.interval
                one.taken -= 1
        return found

    def blame(self) -> None:
        """A wrong key counts for the address it came from. Raises `TooManyRequests`."""
        self._take(self._strangers())

    def require_room(self) -> None:
        """Before a token's signature is verified, which costs a thousand times more than this. Raises `TooManyRequests`."""
        now = self.clock()
        for one in self._strangers():
            if one.full_at - now > one.room:
                raise self._refusal(one, now)

    async def run(self, line: Line, seconds: float) -> None:
        """Settle for ever; a Redis that is away is asked again after a while, and what was taken meanwhile is forgiven."""
        while True:
            try:
                await self.settle(line)
                pause = seconds
            except Away as error:
                get_logger().warning("predictions_counted_locally", error=repr(error), seconds=_AWAY_SECONDS)
                pause = _AWAY_SECONDS
            await asyncio.sleep(pause)

    async def settle(self, line: Line) -> None:
        """Raises what the client raises while Redis is away."""
        noted, self._noted = self._noted, []
        told = [(one, one.taken) for one in noted]
        for one in noted:
            one.taken, one.is_noted = 0, False
        for begin in range(0, len(told), _KEYS_AT_ONCE):
            some = told[begin : begin + _KEYS_AT_ONCE]
            keys = [one.bucket.key for one, _ in some]
            debts = await line.run_script(CHARGE, keys, [taken * one.bucket.rate.interval for one, taken in some])
            now = self.clock()
            for (one, _), debt in zip(some, debts, strict=True):
                one.full_at = now + debt / MICRO + one.taken * one.interval

    def _buckets_of(self, caller: Principal | None) -> Buckets:
        if caller is None:
            return self._strangers()
        name, who = ("user", caller.user_id) if caller.key_id is None else ("key", caller.key_id)
        wanted = ((name, who, self.rates.caller), ("workspace", caller.workspace_id, self.rates.workspace))
        buckets = tuple(self._bucket(name, str(who), rate) for name, who, rate in wanted if rate is not None)
        self._callers[id(caller)] = caller, buckets
        if len(self._callers) > self.most:
            self._callers.popitem(last=False)
        return buckets

    def _strangers(self) -> Buckets:
        rate = self.rates.address
        return () if rate is None else (self._bucket("address", self._address(), rate),)

    def _address(self) -> str:
        peer, headers = (self._peer, self._headers) if self._peer is not None else SENDER.get() or ("", [])
        if not peer:
            return "unknown"
        forwarded = [value.decode("latin-1") for name, value in headers if name == _FORWARDED]
        return counted_address(self.proxies.client(peer, forwarded) if forwarded else peer)

    def _bucket(self, name: str, who: str, rate: Rate) -> _Counted:
        key = f"mill:rate:{name}:{who}"
        found = self._counted.get(key)
        if found is None:
            found = self._counted[key] = _Counted(Bucket(name, key, rate))
            if len(self._counted) > 2 * self.most:
                self._counted.popitem(last=False)
        self._counted.move_to_end(key)
        return found

    def _refusal(self, one: _Counted, now: float) -> TooManyRequests:
        early, left = one.full_at - now - one.room, one.full_at - now
        level = Level(one.bucket, 0, math.ceil(left), max(1, math.ceil(early)))
        problem = asks_too_often(level)
        problem.headers = {**problem.headers, **limit_headers(level)}
        return problem
