"""A TCP proxy between a service and a server, which can reset, cut, delay, slice, hold up and refuse connections.

Runs in the process that drives the faults; the servers' ports are looked up anew for every connection, since they may restart.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from mill_local.ports import LOOPBACK

T = TypeVar("T")
_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Weather:
    """What happens to bytes on their way; changed while connections are open. `refuse` lets no new connection through."""

    delay: float = 0.0
    slice_bytes: int = 0
    silent: bool = False
    refuse: bool = False

    def clear(self) -> None:
        self.delay, self.slice_bytes, self.silent, self.refuse = 0.0, 0, False, False


class Proxy:
    """Listens from the moment it is made; `close` it at the end."""

    def __init__(self, upstream: Callable[[], int | None]) -> None:
        self.weather = Weather()
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, LOOPBACK, 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def reset(self) -> int:
        """Answer every open connection with RST. How many there were."""
        return self._call(self._end(abruptly=True))

    def cut(self) -> int:
        """Close every open connection."""
        return self._call(self._end(abruptly=False))

    def close(self) -> None:
        self._server.close()
        self.weather.clear()
        self._call(self._end(abruptly=False))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = None if self.weather.refuse else self._upstream()
        try:
            if port is None:
                raise ConnectionRefusedError
            there, back = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            _abort(writer)
            return
        self._writers |= {writer, back}
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pipe(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_CHUNK):
                await self._pass_on(data, target)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(target)
            target.close()

    async def _pass_on(self, data: bytes, target: asyncio.StreamWriter) -> None:
        weather = self.weather
        while weather.silent:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.05)
        if weather.delay:
            await asyncio.sleep(weather.delay)
        size = weather.slice_bytes or len(data)
        for start in range(0, len(data), size):
            target.write(data[start : start + size])
            await target.drain()
            if weather.slice_bytes:
                await asyncio.sleep(0.001)

    async def _end(self, *, abruptly: bool) -> int:
        writers = list(self._writers)
        for writer in writers:
            if abruptly:
                _abort(writer)
            else:
                writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return len(writers) // 2


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST: the peer sees `connection reset`, not an orderly end."""
    line = writer.get_extra_info("socket")
    if line is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
