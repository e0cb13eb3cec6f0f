"""A closed-loop load generator in a process of its own: N connections, each sends the next request when answered.

Reads JSON from stdin (host, port, request as base64, connections, seconds); prints one JSON line. It works
on raw sockets, since a client library would cost more than the server under test.
"""

import asyncio
import base64
import json
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import cast

import uvloop


@dataclass
class Round:
    """What all connections of one round share."""

    request: bytes
    ends: float
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    errors: int = 0
    open: int = 0


class Connection(asyncio.Protocol):
    def __init__(self, load: Round, done: "asyncio.Future[None]") -> None:
        self._load = load
        self._done = done
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._load.open += 1
        self._send()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(b"\r\n\r\n")
        if head < 0 or len(buffer) < head + 4 + _content_length(buffer[:head]):
            self._buffer = buffer
            return
        self._buffer = b""
        now = time.perf_counter()
        self._load.latencies.append(now - self._sent)
        if not buffer.startswith(b"HTTP/1.1 200"):
            self._load.errors += 1
        if now < self._load.ends:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.open -= 1
        if exc is not None:
            self._load.errors += 1
        if not self._load.open and not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._load.request)


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + 15
    end = head.find(b"\r\n", start)
    return int(head[start : end if end >= 0 else len(head)])


async def run(spec: dict[str, object]) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    seconds = float(cast(float, spec["seconds"]))
    begun = time.perf_counter()
    load = Round(base64.b64decode(cast(str, spec["request"])), begun + seconds)
    done: asyncio.Future[None] = loop.create_future()
    for _ in range(int(cast(int, spec["connections"]))):
        await loop.create_connection(lambda: Connection(load, done), str(spec["host"]), int(cast(int, spec["port"])))
    await asyncio.wait_for(done, seconds + 20)
    took = time.perf_counter() - begun
    ordered = sorted(load.latencies)
    return {
        "requests": len(ordered),
        "errors": load.errors,
        "rps": len(ordered) / took,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.load(sys.stdin)))) + "\n")
