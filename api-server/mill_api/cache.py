"""The cache (Redis or Valkey, `allkeys-lru`): what is in it may vanish at any time. Opened by `app.py`.

The one place that meets the client library's partly untyped constructor.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

_SECONDS = 1.0


def open_cache(url: str) -> Redis:
    """Nothing is connected before the first use; no call waits longer than a second."""
    return Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)


async def check_cache(cache: Redis) -> None:
    """Raises what the client raises when the cache does not answer."""
    await cache.execute_command("PING")


async def values_of(cache: Redis, pattern: str) -> list[bytes]:
    """The values of all keys that match, in no order. Raises what the client raises when the cache does not answer."""
    keys: list[bytes] = [key async for key in cache.scan_iter(match=pattern, count=100)]
    found = await cache.mget(keys) if keys else []
    return [value.encode() if isinstance(value, str) else value for value in found if value is not None]


async def publish(cache: Redis, channel: str, message: str) -> None:
    """To whoever listens now. Raises what the client raises when the cache does not answer."""
    await cache.publish(channel, message)


async def count_up(cache: Redis, key: str, seconds: int) -> tuple[int, int]:
    """Count one more under `key`: how many in this window, and the seconds it has left. The first count opens the window."""
    async with cache.pipeline(transaction=True) as pipeline:
        pipeline.incr(key)
        pipeline.expire(key, seconds, nx=True)
        pipeline.ttl(key)
        seen, _, left = await pipeline.execute()
    return int(seen), max(1, int(left))


async def forget(cache: Redis, key: str) -> None:
    await cache.delete(key)


async def run_script(cache: Redis, script: str, keys: list[str], arguments: list[Any]) -> list[float]:
    """The numbers a Lua script answers; sent whole only where the cache does not know it yet."""
    digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    try:
        answer: Any = await cache.evalsha(digest, len(keys), *keys, *arguments)
    except NoScriptError:
        answer = await cache.eval(script, len(keys), *keys, *arguments)
    return [float(number) for number in answer]
