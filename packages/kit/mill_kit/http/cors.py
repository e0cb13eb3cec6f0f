"""Which web pages of other origins may call a service from a browser: those the operator names, none by default.

Credentials travel in headers, never in cookies, so `Access-Control-Allow-Credentials` is not given.
"""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ASKED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "traceparent",
    "tracestate",
    "X-API-Key",
    "X-Request-ID",
)
_SHOWN = (
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "RateLimit-Limit",
    "RateLimit-Policy",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-ID",
)
_REMEMBER_SECONDS = 600


def allow_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """`app` itself where no origin is named."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=list(_METHODS),
        allow_headers=list(_ASKED),
        expose_headers=list(_SHOWN),
        max_age=_REMEMBER_SECONDS,
    )


def origins_of(text: str) -> tuple[str, ...]:
    """From a setting: origins separated by commas. Raises `ValueError` for what is no origin; `*` is none of ours."""
    found = tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())
    for origin in found:
        scheme, _, host = origin.partition("://")
        if scheme not in {"http", "https"} or not host or "/" in host or "*" in host:
            raise ValueError(f"{origin!r} is no origin: write https://host or https://host:port, separated by commas")
    return found
