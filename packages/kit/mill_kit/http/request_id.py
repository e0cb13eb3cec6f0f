"""One id follows a request, and one trace: `X-Request-ID` and `traceparent` are taken over when well formed, else made.

Both are in every log line; the id is in the answer. When the answer is out, one line says what was asked and how it went.
"""

import re
import secrets
import time
from contextvars import ContextVar

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_kit import trace
from mill_kit.logs import get_logger
from mill_kit.telemetry.http import SPAN, first_name, tell
from mill_kit.telemetry.tracer import OFF, Kind, Tracer

_HEADER = b"x-request-id"
_TRACE = trace.HEADER.encode()
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_QUIET = re.compile(r"/(health(/[a-z]+)?|metrics)")
_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current_request_id() -> str | None:
    return _current.get()


class RequestIdMiddleware:
    """Pure ASGI. Goes outermost, so that every other layer logs with the ids. Health and metrics leave no line."""

    def __init__(self, app: ASGIApp, tracer: Tracer = OFF) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given, told = _headers(scope)
        identity = given.decode() if _WELL_FORMED.fullmatch(given) else secrets.token_hex(16)
        status, begun = 0, time.perf_counter()
        quiet = _QUIET.fullmatch(scope["path"]) is not None
        tracer = OFF if quiet else self._tracer

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, identity.encode())]
            await send(message)

        token = _current.set(identity)
        with (
            structlog.contextvars.bound_contextvars(request_id=identity),
            tracer.entry(first_name(scope), told, Kind.SERVER) as span,
        ):
            if span.recording:
                scope[SPAN] = span
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                if span.recording:
                    tell(span, scope, status, identity)
                if not quiet:
                    _tell(scope, status, time.perf_counter() - begun)
                _current.reset(token)


def _headers(scope: Scope) -> tuple[bytes, str | None]:
    given, told = b"", None
    for name, value in scope["headers"]:
        if name == _HEADER and not given:
            given = value
        elif name == _TRACE:
            told = value.decode("latin-1") if told is None else ""
    return given, told


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """The path without its query, which may hold secrets; status 0 means that nobody waited for the answer."""
    get_logger().info(
        "request", method=scope["method"], path=scope["path"][:500], status=status, seconds=round(seconds, 6)
    )
