"""How a service says how often one may ask. Used by the api-server with every answer, by ml-service with a refusal.

Headers follow draft-ietf-httpapi-ratelimit-headers-06 (`RateLimit-Limit`, `-Remaining`, `-Reset`, `-Policy`), and the older
`X-RateLimit-…`, whose reset is a Unix time.
"""

import time

from mill_kit.gcra import Level
from mill_kit.problems import TooManyRequests


def limit_headers(level: Level) -> dict[str, str]:
    rate = level.bucket.rate
    limit, remaining = str(rate.burst), str(level.remaining)
    return {
        "RateLimit-Limit": limit,
        "RateLimit-Remaining": remaining,
        "RateLimit-Reset": str(level.full_after),
        "RateLimit-Policy": f'{rate.per_minute:g};w=60;burst={rate.burst};name="{level.bucket.name}"',
        "X-RateLimit-Limit": limit,
        "X-RateLimit-Remaining": remaining,
        "X-RateLimit-Reset": str(int(time.time()) + level.full_after),
    }


def asks_too_often(level: Level) -> TooManyRequests:
    """The refusal. It says when to try again; the other headers are added by whoever sends it."""
    rate = level.bucket.rate
    return TooManyRequests(
        f"This {level.bucket.name} asks too often: {rate.per_minute:g} requests a minute, {rate.burst} at once. "
        f"Try again in {level.retry_after} s",
        headers={"Retry-After": str(level.retry_after)},
    )
