"""The little of Redis that the data plane uses, typed. Sources listen through it, the reporter writes through it."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# redis-py leaves the keyword arguments of its clients untyped; nothing outside this file sees them.

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Away = (RedisError, OSError)
"""What every method raises while Redis cannot be used."""


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
    """Short timeouts and no hidden retries: the callers' loops reconnect. A half-open connection is noticed by its pings."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=10,
            socket_connect_timeout=2,
            socket_keepalive=True,
            health_check_interval=3,
            retry=Retry(NoBackoff(), 0),
        )

    async def get(self, key: str) -> bytes | None:
        value = await self._client.get(key)
        return value if isinstance(value, bytes) else None

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

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncGenerator[Channel]:
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(channel)
            await subscription.get_message(timeout=2.0)
            yield Channel(subscription)

    async def close(self) -> None:
        await self._client.aclose()
