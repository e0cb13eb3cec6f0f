"""What a connection may make the service hold, and for how long. `server` puts it around the hot connection.

A head has so many bytes, headers and seconds; a body may pause only so long; and a large body that does not come with its head is
received for those alone who may send it: before that costs memory, the key is looked at. nginx has limits of its own; these hold
for whoever reaches the service without it. Rows and batches that come in one piece meet two checks here, which take a fifth of a
microsecond.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httptools
import msgspec
from mill_kit.problems import Problem, Unavailable

from mill_serving.connection import LONGEST_BODY, HotConnection
from mill_serving.doors.http import RequestIds, read_headers
from mill_serving.engine import Engine
from mill_serving.errors import CredentialsMissing
from mill_serving.settings import ConnectionSettings

_LOOK_SECONDS = 0.5
_FAREWELL_SECONDS = 1.0
_NOTHING = object()
_SMALL_BODY = 1 << 16
_DEFAULTS = frozenset({"/predict", "/predict_proba", "/invocations"})

Gate = Callable[[bytes, str | None], Problem | None]
"""Path and secret to why this sender's large body is not received, or None."""


class HeadersTooLarge(Problem):
    status = 431
    slug = "headers-too-large"
    title = "The headers are too large"

    def __init__(self, limits: ConnectionSettings) -> None:
        super().__init__(
            f"the request line and at most {limits.headers} headers may take {limits.head_bytes:,} bytes together"
        )


class TooSlow(Problem):
    status = 408
    slug = "too-slow"
    title = "The request came too slowly"

    def __init__(self) -> None:
        super().__init__("send it again, without pauses")


class BoundedConnection(HotConnection):
    """`gate`, `ids` and `limits` are the server's, the first two limits at hand. A refusal ends the connection; what is still sent
    meanwhile is thrown away.
    """

    gate: Gate
    ids: RequestIds
    limits: ConnectionSettings
    head_bytes: int
    most_headers: int

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._whole: object = _NOTHING
        self._let_in: object = None
        self._head_bytes = 0
        self._packet = 0
        self._refused = False
        self._watched: object = _NOTHING
        self._watched_since = 0.0

    def data_received(self, data: bytes) -> None:
        """The list of headers stands for its request: uvicorn makes a new one for each."""
        if self._refused:
            return
        self._packet = len(data)
        HotConnection.data_received(self, data)
        if self.headers is not self._whole:
            self._head_bytes += len(data)
            if self._head_bytes > self.head_bytes:
                self._refuse(HeadersTooLarge(self.limits))
        elif (self._is_hot or self._body_goes_on()) and self._let_in is not self.headers:
            self._let_in = self.headers
            self._ask_who_sends()

    def on_headers_complete(self) -> None:
        headers = self._whole = self.headers
        if (
            self._packet > self.head_bytes or self._head_bytes or len(headers) > self.most_headers
        ) and self._is_too_large():
            self._refuse(HeadersTooLarge(self.limits))
            raise httptools.HttpParserError  # nothing more is read of what has come
        self._head_bytes = 0
        HotConnection.on_headers_complete(self)

    def send_400_response(self, msg: str) -> None:
        if not self._refused:
            HotConnection.send_400_response(self, msg)

    def _begin_asgi(self) -> None:
        HotConnection._begin_asgi(self)
        self._whole = self.headers

    def look(self, now: float) -> None:
        """Twice a second: does what is under way go on? The time of a whole connection at rest is uvicorn's to watch."""
        is_head = self.headers is not self._whole
        if self._refused or not (is_head or self._is_hot or self._body_goes_on()):
            self._watched = _NOTHING
        elif self._watched is not self.headers:
            self._watched, self._watched_since = self.headers, now
        else:
            limits = self.limits
            pause = 0.0 if is_head else now - self._seen
            longest = limits.head_seconds if is_head else limits.body_seconds
            if pause > limits.pause_seconds or now - self._watched_since > longest:
                self._refuse(TooSlow())

    def _body_goes_on(self) -> bool:
        cycle = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and cycle.more_body and not cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def _is_too_large(self) -> bool:
        if len(self.headers) > self.most_headers:
            return True
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.head_bytes

    def _ask_who_sends(self) -> None:
        head = read_headers(self.headers, self.ids)
        if 0 < head.length <= _SMALL_BODY:
            return
        problem = self.gate(self.url, head.secret)
        if problem is not None:
            self._refuse(problem)
        elif self._is_hot and head.length > LONGEST_BODY:
            self._cool_down()  # the app refuses by what is announced

    def _refuse(self, problem: Problem) -> None:
        """A client that still sends would lose the answer if the connection were closed at once."""
        self._refused, self._is_hot, self._hot_body = True, False, []
        begun = False
        if self._body_goes_on():
            begun = self.cycle.response_started or bool(self.pipeline)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self._answering is not None:
                self._answering.cancel()
        if self.transport.is_closing():
            return
        if not begun:
            self.transport.write(self._answer_of(problem))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_FAREWELL_SECONDS, self.transport.close)

    def _answer_of(self, problem: Problem) -> bytes:
        request_id = self.ids.new()
        body = msgspec.json.encode(problem.document(request_id=request_id.decode()))
        lines = [b"HTTP/1.1 %d %b" % (problem.status, problem.title.encode("latin-1", "replace"))]
        lines += [b"%b: %b" % pair for pair in self.server_state.default_headers]
        lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in problem.headers.items()]
        lines += [b"content-type: application/problem+json", b"content-length: %d" % len(body)]
        lines += [b"x-request-id: %b" % request_id, b"connection: close"]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


def bounded(kind: type[HotConnection], engine: Engine, limits: ConnectionSettings) -> type[BoundedConnection]:
    """`kind` with these limits."""

    def gate(path: bytes, secret: str | None) -> Problem | None:
        return refusal(engine, path, secret)

    known = {"head_bytes": limits.head_bytes, "most_headers": limits.headers, "limits": limits}
    return type(
        "ServerConnection", (BoundedConnection, kind), {"gate": staticmethod(gate), "ids": RequestIds(), **known}
    )


def refusal(engine: Engine, path: bytes, secret: str | None) -> Problem | None:
    """Public models take anybody's rows; all else takes a key. The door has the last word on whose model it is."""
    is_open = _names_public(engine, path)
    try:
        if engine.identify(secret) is not None:
            return None
    except Unavailable as problem:
        return None if is_open else problem
    except Problem as problem:
        return problem
    return None if is_open else CredentialsMissing()


def _names_public(engine: Engine, path: bytes) -> bool:
    """Wherever in the path the name stands; the default model's stands in none."""
    public, text = engine.rollout.catalogue.public, unquote(path.partition(b"?")[0].decode("latin-1"))
    if text.rstrip("/") in _DEFAULTS:
        return bool(public)
    return any(name in text for name in public)


async def watch(connections: set[Any]) -> None:
    """For ever: look at each of uvicorn's connections."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = loop.time()
        for connection in tuple(connections):
            if isinstance(connection, BoundedConnection):
                connection.look(now)
