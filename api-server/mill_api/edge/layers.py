"""The layers around the application, from the outermost to the innermost. Called by `app.py`.

Request id and trace, so that every other layer logs with them, and paths without a trailing slash; then CORS, so that a page may
read a refusal; rate limit; workspace; security headers; metrics; and innermost what may refuse a request for its form.
"""

import re

from fastapi import FastAPI
from mill_kit.http.cors import allow_origins, origins_of
from mill_kit.http.metrics import MetricsMiddleware, RequestMetrics
from mill_kit.http.request_id import RequestIdMiddleware
from mill_kit.http.security import SecurityHeaders
from mill_kit.http.slashes import TrailingSlashMiddleware
from mill_kit.http.unforeseen import Unforeseen
from mill_kit.telemetry import OFF, Tracer
from mill_kit.telemetry.http import RouteOfSpan

from mill_api.edge.body import BodyLimit
from mill_api.edge.departures import Departures
from mill_api.edge.limits import RateLimit, Refusals
from mill_api.edge.tenant import TenantLayer
from mill_api.settings import Settings


def surround(
    app: FastAPI, settings: Settings, metrics: RequestMetrics, streamed: re.Pattern[str], tracer: Tracer
) -> None:
    """`streamed` are the paths that take a body of any length."""
    app.add_middleware(Departures)  # the innermost comes first
    app.add_middleware(Unforeseen)
    app.add_middleware(BodyLimit, streamed=streamed)
    app.add_middleware(Refusals)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    if tracer is not OFF:
        app.add_middleware(RouteOfSpan)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(TenantLayer)
    app.add_middleware(RateLimit, settings=settings.limits)
    app.add_middleware(allow_origins, origins=origins_of(settings.cors.origins))
    app.add_middleware(TrailingSlashMiddleware)
    app.add_middleware(RequestIdMiddleware, tracer=tracer)
