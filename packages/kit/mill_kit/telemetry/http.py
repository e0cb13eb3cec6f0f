"""What the span of a request is called, and what it says: by the standard's names for HTTP servers."""

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from mill_kit.http.metrics import template
from mill_kit.telemetry.tracer import Span

SPAN = "mill.span"
"""Where `RequestIdMiddleware` leaves the span in the scope."""
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class RouteOfSpan:
    """Pure ASGI, put around an application only where telemetry is on, inside the layer that knows the workspace.

    It notes the route's template, never the path, and the workspace's id: nothing that a user typed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        span: Span | None = scope.get(SPAN)
        if span is None:
            return await self._app(scope, receive, send)
        try:
            await self._app(scope, receive, send)
        finally:
            route = template(scope)
            span.rename(f"{first_name(scope)} {route}")
            span.note({"http.route": route})
            tenant = structlog.contextvars.get_contextvars().get("tenant")
            if tenant is not None:
                span.note({"mill.workspace": str(tenant)})


def first_name(scope: Scope) -> str:
    """What a request is called before its route is known. A method that nobody knows is no name."""
    method: str = scope["method"]
    return method if method in _METHODS else "HTTP"


def tell(span: Span, scope: Scope, status: int, request_id: str) -> None:
    """Status 0 means that nobody waited for the answer."""
    name = first_name(scope)
    span.note({"http.request.method": "_OTHER" if name == "HTTP" else name, "mill.request_id": request_id})
    if status:
        span.note({"http.response.status_code": status})
    if status >= 500:
        span.fail(str(status))
