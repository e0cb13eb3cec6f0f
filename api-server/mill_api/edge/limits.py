"""How often somebody may ask: the layer that counts, and refuses with 429. Put around the application by `layers`.

A refused request goes the same way as every other (workspace, security headers, metrics) and is answered by `Refusals`, innermost.
"""

import math
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mill_kit.gcra import SCRIPT, Bucket, Level, LocalBuckets, Rate, arguments, levels
from mill_kit.http.limits import asks_too_often, limit_headers
from mill_kit.http.problems import problem_response
from mill_kit.logs import get_logger
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_api.access.caller import CALLER, Caller
from mill_api.cache import run_script
from mill_api.edge.caller import KeyMemory, caller_of
from mill_api.settings import LimitSettings

_EXEMPT = re.compile(r"/(health(/[a-z]+)?|metrics)")
_PREDICTIONS = "/api/v1/predictions"
_REFUSAL = "mill.refusal"
_AWAY_SECONDS = 5.0


@dataclass
class Counting:
    """Buckets in the cache; in this process while the cache does not answer, which is asked again after a while.

    Whom the cache has refused is refused here until there can be a token again: a caller that asks far too often costs little.
    """

    rates: Mapping[str, tuple[Rate, Rate]]
    local: LocalBuckets
    _away_until: float = field(default=0.0)
    _empty: OrderedDict[str, tuple[Level, float]] = field(default_factory=OrderedDict[str, tuple[Level, float]])

    async def take(self, cache: Redis, buckets: list[Bucket]) -> list[Level]:
        now = time.monotonic()
        if now < self._away_until:
            return self.local.take(buckets)
        for bucket in buckets:
            level, until = self._empty.get(bucket.key, (None, 0.0))
            if level is not None and now < until:
                left = until - now
                full_after = math.ceil(level.full_after - level.early + left)
                return [replace(level, full_after=full_after, retry_after=max(1, math.ceil(left)), early=left)]
        try:
            found = levels(buckets, await run_script(cache, SCRIPT, *arguments(buckets)))
            self._remember(found)
            return found
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            get_logger().warning("requests_counted_locally", error=repr(error), seconds=_AWAY_SECONDS)
            return self.local.take(buckets)

    def _remember(self, found: list[Level]) -> None:
        for level in found:
            if level.refused:
                self._empty[level.bucket.key] = level, time.monotonic() + level.early
                self._empty.move_to_end(level.bucket.key)
                if len(self._empty) > self.local.most:
                    self._empty.popitem(last=False)

    def buckets(self, caller: Caller, path: str) -> list[Bucket]:
        """Those that a request takes from: its user's or key's and its workspace's, else its address's."""
        kind = "predictions" if path == _PREDICTIONS else "requests"
        single, shared = self.rates[kind]
        if caller.tenant is None:
            return [_bucket("address", kind, caller.address, single)]
        name, who = ("key", caller.key) if caller.key else ("user", caller.user)
        return [_bucket(name, kind, str(who), single), _bucket("workspace", kind, caller.tenant, shared)]


class RateLimit:
    """Pure ASGI. Also where the caller is recognised, once, for the layers further in."""

    def __init__(self, app: ASGIApp, settings: LimitSettings) -> None:
        self._app = app
        self._counting = Counting(_rates(settings), LocalBuckets(settings.local_entries)) if settings.enabled else None
        self._keys = KeyMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: Any = getattr(scope["app"].state, "parts", None)
        if parts is None or scope["type"] != "http" or _EXEMPT.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        caller = scope[CALLER] = caller_of(scope, parts.tokens, self._keys)
        if self._counting is not None:
            found = await self._counting.take(parts.cache, self._counting.buckets(caller, scope["path"]))
            tightest = min(found, key=_room)
            send = _with_headers(send, tightest)
            if tightest.refused:
                scope[_REFUSAL] = asks_too_often(tightest)
        await self._app(scope, receive, send)
        self._learn(caller)

    def _learn(self, caller: Caller) -> None:
        """What a key stands for, told by whoever let it in."""
        if caller.key is not None and caller.principal is not None:
            self._keys.learn(caller.key, str(caller.principal.workspace_id))


class Refusals:
    """Pure ASGI, the innermost layer: answers what an outer layer has refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = scope.get(_REFUSAL)
        answer = self._app if problem is None else problem_response(problem, scope["path"])
        await answer(scope, receive, send)


def _rates(limits: LimitSettings) -> dict[str, tuple[Rate, Rate]]:
    """For one caller and for a whole workspace."""
    return {
        "requests": (
            Rate(limits.per_minute, limits.burst),
            Rate(limits.workspace_per_minute, limits.workspace_burst),
        ),
        "predictions": (
            Rate(limits.predictions_per_minute, limits.predictions_burst),
            Rate(limits.workspace_predictions_per_minute, limits.workspace_predictions_burst),
        ),
    }


def _bucket(name: str, kind: str, whose: str, rate: Rate) -> Bucket:
    return Bucket(name, f"mill:limit:{kind}:{name}:{whose}", rate)


def _room(level: Level) -> tuple[int, float]:
    return -level.retry_after, level.remaining / level.bucket.rate.burst


def _with_headers(send: Send, level: Level) -> Send:
    headers = [(name.lower().encode(), value.encode()) for name, value in limit_headers(level).items()]

    async def send_counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_counted
