"""How much lies in the broker: messages by queue, and those a worker has taken and not confirmed. For /metrics, by `queue.sender`."""

# The client library is partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redis import Redis

_UNACKED = "unacked"
"""Celery's transport keeps the unconfirmed messages of all queues in this one hash."""
_SECONDS = 0.4


@dataclass(frozen=True)
class Lengths:
    waiting: Mapping[str, int]
    unacked: int


def open_broker(url: str) -> "Redis":
    """Nothing is connected before the first use."""
    return Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)


def read_lengths(broker: "Redis", queues: Iterable[str]) -> Lengths:
    """Raises what the client raises when the broker does not answer."""
    names = list(queues)
    with broker.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.llen(name)
        pipeline.hlen(_UNACKED)
        *waiting, unacked = pipeline.execute()
    return Lengths(dict(zip(names, map(int, waiting), strict=True)), int(unacked))
