"""The little of Redis that the data plane uses, typed. Sources listen through it, the reporter writes through it."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# redis-py leaves the keyword arguments of its clients untyped; nothing outside this file sees them.

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Away = (RedisError, OSError)
"""What every method raises while Redis cannot be used."""

_SHORT_SECONDS = 3.0


class Channel:
    """A subscription that is confirmed by the server."""

    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription

    async def next(self, seconds: float) -> bytes | None:
        """The next message, or None when none came in time."""
        message: dict[str, Any] | None = await self._subscription.get_message(
            ignore_subscribe_messages=True, timeout=seconds
        )
        data = message["data"] if message is not None else None
        return data if isinstance(data, bytes) else None


class RedisLine:
    """Short timeouts and no hidden retries: the callers' loops reconnect. A half-open connection is noticed by its pings.

    `seconds` is the longest wait for an answer; a short one needs no pings.
    """

    def __init__(self, url: str, seconds: float = 10.0) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=min(2.0, seconds),
            socket_keepalive=True,
            health_check_interval=3 if seconds > _SHORT_SECONDS else 0,
            retry=Retry(NoBackoff(), 0),
        )

    async def get(self, key: str) -> bytes | None:
        value = await self._client.get(key)
        return value if isinstance(value, bytes) else None

    async def get_short(self, key: str, most_bytes: int) -> bytes:
        """The first bytes of a value, whoever wrote how much of it; empty when there is none."""
        value = await self._client.getrange(key, 0, most_bytes)
        return value if isinstance(value, bytes) else b""

    async def set(self, key: str, value: str, ttl_seconds: int) -> None:
        await self._client.set(key, value, ex=ttl_seconds)

    async def delete(self, *keys: str) -> None:
        await self._client.delete(*keys)

    async def set_all(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for key, value in values.items():
                pipeline.set(key, value, ex=ttl_seconds)
            await pipeline.execute()

    async def push(self, key: str, values: list[bytes], kept: int) -> None:
        """In front of a list that keeps its newest `kept`."""
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.lpush(key, *values)
            pipeline.ltrim(key, 0, kept - 1)
            await pipeline.execute()

    async def newest(self, key: str, count: int) -> list[bytes]:
        found: list[Any] = await self._client.lrange(key, 0, count - 1)  # pyright: ignore[reportGeneralTypeIssues] - typed for both clients
        return [value for value in found if isinstance(value, bytes)]

    async def length(self, key: str) -> int:
        return int(await self._client.llen(key))  # pyright: ignore[reportGeneralTypeIssues] - typed for both clients

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[float]) -> list[float]:
        """The numbers that a Lua script answers."""
        answer: Any = await self._client.eval(script, len(keys), *keys, *arguments)  # pyright: ignore[reportGeneralTypeIssues]
        return [float(number) for number in answer]

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncGenerator[Channel]:
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(channel)
            await subscription.get_message(timeout=2.0)
            yield Channel(subscription)

    async def close(self) -> None:
        await self._client.aclose()
