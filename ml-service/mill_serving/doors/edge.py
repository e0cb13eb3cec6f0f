"""Around the front: which pages may call from a browser, and one log line for every request whose trace is sampled.

Hot requests do not come this way: `http.read_headers` sends those that need it here. `server` hands it to uvicorn.
"""

import time

import structlog
from mill_kit import trace
from mill_kit.http.cors import allow_origins, origins_of
from mill_kit.http.security import HEADERS
from mill_kit.logs import get_logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TRACE = trace.HEADER.encode()
_REQUEST_ID = b"x-request-id"
_POLICY = "Content-Security-Policy"

DEFAULT_HEADERS = [(name.lower(), value) for name, value in HEADERS.items() if name != _POLICY]
"""Written by uvicorn itself, on the short way too. The policy is for pages and is set where they are made."""

DOCUMENT_HEADERS = {_POLICY: HEADERS[_POLICY]}


def surrounded(front: ASGIApp, origins: str) -> ASGIApp:
    """`origins` as in the setting."""
    return allow_origins(Sampled(front), origins_of(origins))


class Sampled:
    """Pure ASGI. A caller that wants a request followed says so in `traceparent`; all others cost nothing here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        here = _sampled(scope) if scope["type"] == "http" else None
        if here is None:
            await self._app(scope, receive, send)
            return
        status, identity, begun = 0, "", time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status, identity
            if message["type"] == "http.response.start":
                status = message["status"]
                identity = dict(message.get("headers", ())).get(_REQUEST_ID, b"").decode("latin-1")
            await send(message)

        with trace.working_in(here):
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                seconds = round(time.perf_counter() - begun, 6)
                with structlog.contextvars.bound_contextvars(request_id=identity):
                    get_logger().info(
                        "request", method=scope["method"], path=scope["path"][:500], status=status, seconds=seconds
                    )


def _sampled(scope: Scope) -> trace.TraceContext | None:
    for name, value in scope["headers"]:
        if name == _TRACE:
            caller = trace.parse(value.decode("latin-1"))
            return caller.child() if caller is not None and caller.sampled else None
    return None
