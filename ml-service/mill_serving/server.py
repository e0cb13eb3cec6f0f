"""Uvicorn with a drain: on SIGTERM the replica says unready first, goes on answering for a moment, then stops.

While it drains every answer closes its connection, so that a proxy's idle connections are used up before they are closed under it.
New connections are refused a moment before the last ones end: a proxy goes elsewhere then, also with a POST, for it sent nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from socket import socket
from types import FrameType
from typing import cast

import uvicorn

from mill_serving.app import Parts
from mill_serving.bounds import bounded, watch
from mill_serving.connection import HotConnection, class_for
from mill_serving.doors.edge import DEFAULT_HEADERS, surrounded
from mill_serving.limited import KnownSender, limited_class

_BACKLOG = 2048
_LINGER_STEP = 0.02


class DrainingServer(uvicorn.Server):
    """The first signal starts the drain, a second one ends it at once. `alive` is a pipe that ends with the supervisor."""

    def __init__(self, config: uvicorn.Config, parts: Parts, alive: int | None = None) -> None:
        super().__init__(config)
        self._parts = parts
        self._alive = alive
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        if self._alive is not None:
            self._loop.add_reader(self._alive, self._orphaned)
        watching = asyncio.create_task(watch(self.server_state.connections))
        try:
            await super().serve(sockets)
        finally:
            watching.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        if self._parts.health.draining or self._loop is None:
            self.should_exit = True
            return
        self._drain()
        self._loop.call_soon_threadsafe(self._stop_soon)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Refuse new connections, give those that are open a moment to be used for the last time, then uvicorn's own way."""
        self._drain()
        waiting = [connection for listening in sockets or [] for connection in _accept_all(listening)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._connection, connection)
        await self._linger()
        await super().shutdown(sockets)

    async def _linger(self) -> None:
        """Until the last connection was used up, or nobody can be expected to use it: one closed under a request loses that."""
        ends = time.monotonic() + self._parts.settings.serving.linger_seconds
        while self.server_state.connections and time.monotonic() < ends:  # noqa: ASYNC110 - uvicorn tells nobody of an end
            await asyncio.sleep(_LINGER_STEP)

    def _connection(self) -> asyncio.Protocol:
        kind = cast("type[HotConnection]", self.config.http_protocol_class)
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _drain(self) -> None:
        self._parts.health.draining = True
        self._parts.front.is_draining = True

    def _stop_soon(self) -> None:
        asyncio.get_running_loop().call_later(self._parts.settings.serving.drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    def _orphaned(self) -> None:
        """The supervisor is gone: nobody would stop or replace this worker any more."""
        if self._loop is not None and self._alive is not None:
            self._loop.remove_reader(self._alive)
        self._drain()
        self._stop_soon()


def _accept_all(listening: socket) -> list[socket]:
    """Connections that wait to be accepted would be reset when the socket closes, with the requests their clients have sent."""
    listening.setblocking(False)
    found: list[socket] = []
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            found.append(connection)
    return found


def serve(parts: Parts, sockets: Sequence[socket], alive: int | None = None) -> None:
    """Blocks until the process is told to stop. Every wait at the end is bounded."""
    front, limiter = parts.front, parts.limiter
    limits = parts.settings.connections
    kind = class_for(front.answer_now) if limiter is None else limited_class(front.answer_now, limiter)
    config = uvicorn.Config(
        surrounded(KnownSender(front) if limiter is not None else front, parts.settings.cors.origins, parts.tracer),
        headers=DEFAULT_HEADERS,
        loop="uvloop",
        http=bounded(kind, parts.engine, limits),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=parts.settings.serving.stop_seconds,
    )
    DrainingServer(config, parts, alive).run(list(sockets))
