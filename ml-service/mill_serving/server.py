"""Uvicorn with a drain: on SIGTERM the replica says unready first, goes on answering for a moment, then stops."""

import asyncio
from socket import socket
from types import FrameType

import uvicorn

from mill_serving.app import Parts
from mill_serving.connection import class_for

_KEEP_ALIVE_SECONDS = 75  # longer than nginx keeps its idle upstream connections


class DrainingServer(uvicorn.Server):
    """The first signal starts the drain, a second one ends it at once."""

    def __init__(self, config: uvicorn.Config, parts: Parts) -> None:
        super().__init__(config)
        self._parts = parts
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        health = self._parts.health
        if health.draining or self._loop is None:
            self.should_exit = True
            return
        health.draining = True
        self._loop.call_soon_threadsafe(self._stop_soon)

    def _stop_soon(self) -> None:
        asyncio.get_running_loop().call_later(self._parts.settings.serving.drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serve(parts: Parts, host: str, port: int) -> None:
    """Blocks until the process is told to stop. Every wait at the end is bounded."""
    config = uvicorn.Config(
        parts.front,
        host=host,
        port=port,
        loop="uvloop",
        http=class_for(parts.front.answer_now),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=parts.settings.serving.stop_seconds,
    )
    DrainingServer(config, parts).run()
