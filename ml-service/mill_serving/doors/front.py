"""The outermost ASGI app: sends the hot routes straight to their doors and everything else to the FastAPI app.

Paths are read as they came on the wire, so that a percent-encoded slash in a model's name is part of the name.
"""

import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_serving.doors.http import Headers
from mill_serving.doors.predict import PredictDoors, known_method
from mill_serving.statistics import Statistics

_PREDICT = b"/predict/"
_MOST_PATHS = 10_000
_LONGEST_KEPT = 300

Parsed = tuple[Literal["one", "batch"], str]


@dataclass
class Front:
    doors: PredictDoors
    documented: ASGIApp
    statistics: Statistics
    _paths: dict[bytes, Parsed | None] = field(default_factory=dict[bytes, Parsed | None])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.documented(scope, receive, send)
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if path.startswith(_PREDICT):
            parsed = self._paths.get(path) or self._parse(path)
            if parsed is not None:
                if scope["method"] != "POST":
                    return await self.doors.wrong_method(scope, send)
                door = self.doors.one if parsed[0] == "one" else self.doors.batch
                return await door(scope, receive, send, parsed[1])
        return await self._document(scope, path, receive, send)

    def answer_now(self, path: bytes, headers: Headers, body: bytes) -> tuple[bytes, bytes] | None:
        """The answer to an ordinary row without waiting, for a path met before; None where the ASGI app must answer."""
        parsed = self._paths.get(path)
        if parsed is None or parsed[0] != "one":
            return None
        return self.doors.answer_now(headers, body, parsed[1])

    def _parse(self, path: bytes) -> Parsed | None:
        """`/predict/a%2Fb/batch` is a batch for `a/b`; without encoding, all but a last `/batch` is the name."""
        raw = path[len(_PREDICT) :].rstrip(b"/")
        name, _, last = raw.rpartition(b"/")
        kind, chosen = ("batch", name) if name and last == b"batch" else ("one", raw)
        text = unquote(chosen.decode("latin-1"))
        parsed: Parsed | None = (kind, text) if text else None
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
