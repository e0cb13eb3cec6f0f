"""Around the front: which pages may call from a browser, and one log line for every request whose trace is sampled.

Hot requests do not come this way: `http.read_headers` sends those that need it here. `server` hands it to uvicorn.
"""

import time

import structlog
from mill_kit import trace
from mill_kit.http.cors import allow_origins, origins_of
from mill_kit.http.security import HEADERS
from mill_kit.logs import get_logger
from mill_kit.telemetry import OFF, Kind, Tracer
from mill_kit.telemetry.http import first_name, tell
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TRACE, _STATE = trace.HEADER.encode(), trace.STATE.encode()
_REQUEST_ID = b"x-request-id"
_WORDS = frozenset(
    [
        "api",
        "v1",
        "v2",
        "predict",
        "predictions",
        "batch",
        "explain",
        "invocations",
        "models",
        "versions",
        "infer",
        "ready",
        "health",
        "live",
        "metrics",
    ]
)
_LONGEST_PATH = 6
_POLICY = "Content-Security-Policy"

DEFAULT_HEADERS = [(name.lower(), value) for name, value in HEADERS.items() if name != _POLICY]
"""Written by uvicorn itself, on the short way too. The policy is for pages and is set where they are made."""

DOCUMENT_HEADERS = {_POLICY: HEADERS[_POLICY]}


def surrounded(front: ASGIApp, origins: str, tracer: Tracer = OFF) -> ASGIApp:
    """`origins` as in the setting."""
    return allow_origins(Sampled(front, tracer), origins_of(origins))


class Sampled:
    """Pure ASGI. A caller that wants a request followed says so in `traceparent`; all others cost nothing here."""

    def __init__(self, app: ASGIApp, tracer: Tracer = OFF) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = _sampled(scope) if scope["type"] == "http" else None
        if told is None:
            await self._app(scope, receive, send)
            return
        tracer = OFF if trace.is_logged_alone(_header(scope, _STATE) or "") else self._tracer
        status, identity, begun = 0, "", time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status, identity
            if message["type"] == "http.response.start":
                status = message["status"]
                identity = dict(message.get("headers", ())).get(_REQUEST_ID, b"").decode("latin-1")
            await send(message)

        with tracer.entry(_name(scope), told, Kind.SERVER) as span:
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                if span.recording:
                    tell(span, scope, status, identity)
                seconds = round(time.perf_counter() - begun, 6)
                with structlog.contextvars.bound_contextvars(request_id=identity):
                    get_logger().info(
                        "request", method=scope["method"], path=scope["path"][:500], status=status, seconds=seconds
                    )


def _sampled(scope: Scope) -> str | None:
    """The caller's `traceparent`, if it is one and says that the trace is to be followed."""
    told = _header(scope, _TRACE)
    caller = trace.parse(told)
    return told if caller is not None and caller.sampled else None


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


def _name(scope: Scope) -> str:
    """The path with everything that is no word of ours left out: names of models do not become names of spans."""
    parts = scope["path"].strip("/").split("/")[:_LONGEST_PATH]
    return f"{first_name(scope)} /{'/'.join(part if part in _WORDS else '{}' for part in parts)}"
