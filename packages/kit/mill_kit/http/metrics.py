"""Request metrics of every service, on a registry of its own: counts, durations, requests in flight."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RequestMetrics:
    """`http_requests_total`, `http_request_duration_seconds` (labels method, route, status) and `active_requests`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "http_requests_total", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.durations = Histogram(
            "http_request_duration_seconds", "Time to answer", ["method", "route"], buckets=BUCKETS, registry=registry
        )
        self.active = Gauge("active_requests", "Requests being answered now", registry=registry)

    def route(self) -> Route:
        return Route("/metrics", self._expose, name="metrics")

    async def _expose(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"content-type": content_type})


class MetricsMiddleware:
    """Pure ASGI. The route label is the path template, never the path, so that its cardinality is bounded."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status, begun = 500, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.active.inc()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._metrics.active.dec()
            route, method = template(scope), scope["method"]
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.durations.labels(method, route).observe(time.perf_counter() - begun)


def template(scope: Scope) -> str:
    """FastAPI notes its own routes in the scope; of a plain Starlette route it notes the endpoint alone."""
    path = getattr(scope.get("route") or _by_endpoint(scope), "path", None)
    return path if isinstance(path, str) else "unmatched"


def _by_endpoint(scope: Scope) -> object:
    app, endpoint = scope.get("app"), scope.get("endpoint")
    if app is None or endpoint is None:
        return None
    return next((route for route in app.routes if getattr(route, "endpoint", None) == endpoint), None)
