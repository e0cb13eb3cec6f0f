"""Slows down password guessing: so many sign-ins per minute for one account from one address. Called by `auth`.

Counted per account *and* address, so that a stranger can lock nobody out. Without the cache nothing is counted and people
still get in: the hash is slow, and a password has 12 characters at least.
"""

import hashlib
from dataclasses import dataclass

from mill_kit.logs import get_logger
from redis.asyncio import Redis
from redis.exceptions import RedisError

from mill_api.access.errors import TooManyAttempts
from mill_api.cache import count_up, forget


@dataclass(frozen=True)
class Throttle:
    cache: Redis
    attempts: int
    window_seconds: int = 60

    async def attempt(self, account: str, address: str) -> None:
        """Count one attempt, or raise `TooManyAttempts`."""
        try:
            seen, left = await count_up(self.cache, _key(account, address), self.window_seconds)
        except (RedisError, OSError) as error:
            get_logger().warning("sign_in_not_counted", error=repr(error))
            return
        if seen > self.attempts:
            raise TooManyAttempts(
                f"More than {self.attempts} attempts; try again in {left} s", headers={"Retry-After": str(left)}
            )

    async def succeeded(self, account: str, address: str) -> None:
        try:
            await forget(self.cache, _key(account, address))
        except (RedisError, OSError) as error:
            get_logger().warning("sign_in_not_counted", error=repr(error))


def _key(account: str, address: str) -> str:
    """No name or address lies readable in the cache."""
    return "mill:sign-in:" + hashlib.sha256(f"{account.lower()}\n{address}".encode()).hexdigest()
