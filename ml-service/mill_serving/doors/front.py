"""The outermost ASGI app: sends the hot routes straight to their doors and everything else to the FastAPI app.

Paths are read as they came on the wire, so that a percent-encoded slash in a model's name is part of the name.
"""

import time
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_serving.deadline import DEADLINE, deadline_of
from mill_serving.deadline import HEADER as DEADLINE_HEADER
from mill_serving.doors.batch import BatchDoor
from mill_serving.doors.doorway import known_method
from mill_serving.doors.explain import ExplainDoor
from mill_serving.doors.http import Answered, Headers, answer_problem, read_head
from mill_serving.doors.predict import PredictDoor
from mill_serving.doors.v2.rest import InferenceDoor
from mill_serving.errors import InvalidRequest
from mill_serving.statistics import Statistics

_ANY_PREDICT = b"/predict"
_PREDICT = b"/predict/"
_PROBA = b"/predict_proba/"
_MOST_PATHS = 10_000
_LONGEST_KEPT = 300

Parsed = tuple[Literal["one", "batch", "explain", "proba"], str]
_LAST: dict[bytes, Literal["batch", "explain"]] = {b"batch": "batch", b"explain": "explain"}


class SideDoor(Protocol):
    """A protocol beside our own: it knows its paths."""

    def at(self, path: bytes) -> ASGIApp | None:
        """Who answers here; None where it is no path of this protocol."""
        ...


@dataclass
class Front:
    one: PredictDoor
    batch: BatchDoor
    explain: ExplainDoor
    infer: InferenceDoor
    sides: tuple[SideDoor, ...]
    documented: ASGIApp
    statistics: Statistics
    is_draining: bool = False
    _paths: dict[bytes, Parsed | None] = field(default_factory=dict[bytes, Parsed | None])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.documented(scope, receive, send)
        if self.is_draining:
            send = _closing(send)
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if path.startswith(_ANY_PREDICT):
            parsed = self._paths.get(path) or self._parse(path)
            if parsed is not None:
                if scope["method"] != "POST":
                    return await self.one.wrong_method(scope, send)
                if parsed[0] == "batch":
                    return await self.batch.serve(scope, receive, send, parsed[1])
                if parsed[0] == "explain":
                    return await self.explain.serve(scope, receive, send, parsed[1])
                if not await self._hears_deadline(scope, send):
                    return None
                return await self.one.serve(scope, receive, send, parsed[1], proba=parsed[0] == "proba")
        for side in (self.infer, *self.sides):
            app = side.at(path)
            if app is not None:
                return await app(scope, receive, send)
        if not await self._hears_deadline(scope, send):
            return None
        return await self._document(scope, path, receive, send)

    async def _hears_deadline(self, scope: Scope, send: Send) -> bool:
        """False when the header is not one, and that was answered. Doors behind a `Doorway` hear it there."""
        for name, value in scope["headers"]:
            if name == DEADLINE_HEADER:
                try:
                    DEADLINE.set(deadline_of(value))
                except InvalidRequest as problem:
                    method = known_method(scope["method"])
                    self.statistics.answered(method, "unmatched", problem.status, 0.0)
                    await answer_problem(send, problem, scope["path"], read_head(scope, self.one.ids).request_id)
                    return False
        return True

    def answer_now(self, path: bytes, headers: Headers, body: bytes) -> Answered | None:
        """The answer to an ordinary row or a short batch without waiting; None where the ASGI app must answer.

        Our own paths take this way once they were met.
        """
        if self.is_draining:
            return None
        parsed = self._paths.get(path)
        if parsed is None:
            return self.infer.answer_now(path, headers, body)
        if parsed[0] == "one":
            return self.one.answer_now(headers, body, parsed[1])
        return self.batch.answer_now(headers, body, parsed[1]) if parsed[0] == "batch" else None

    def _parse(self, path: bytes) -> Parsed | None:
        """`/predict/a%2Fb/batch` is a batch for `a/b`; without encoding, all but a last `/batch` or `/explain` is the name."""
        parsed = _parsed(path)
        if len(path) <= _LONGEST_KEPT:
            if len(self._paths) >= _MOST_PATHS:
                self._paths.clear()
            self._paths[path] = parsed
        return parsed

    async def _document(self, scope: Scope, path: bytes, receive: Receive, send: Send) -> None:
        """The rest, with or without a trailing slash, counted by route template; endpoints decode the names in their paths."""
        begun, status = time.perf_counter(), 500
        inner = {**scope, "path": path.decode("latin-1").rstrip("/") or "/"}

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.statistics.active += 1
        try:
            await self.documented(inner, receive, noting)
        finally:
            self.statistics.active -= 1
            route = getattr(inner.get("route"), "path", "unmatched")
            self.statistics.answered(known_method(scope["method"]), route, status, time.perf_counter() - begun)


def _parsed(path: bytes) -> Parsed | None:
    """An empty name is the default model's."""
    bare = path.rstrip(b"/")
    if bare in (_PREDICT[:-1], _PROBA[:-1]):
        return ("one" if bare == _PREDICT[:-1] else "proba", "")
    if path.startswith(_PROBA):
        return ("proba", unquote(bare[len(_PROBA) :].decode("latin-1")))
    if not path.startswith(_PREDICT):
        return None
    raw = bare[len(_PREDICT) :]
    name, _, last = raw.rpartition(b"/")
    kind = _LAST.get(last) if name else None
    return (kind or "one", unquote((name if kind else raw).decode("latin-1")))


def _closing(send: Send) -> Send:
    """The client is told not to use this connection again: a proxy then opens its next one to another replica."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers", []) if pair[0].lower() != b"connection"]
            message = {**message, "headers": [*headers, (b"connection", b"close")]}
        await send(message)

    return told
