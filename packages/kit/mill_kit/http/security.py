"""Security headers of every answer, one list for both services. An answer that brings a header of its own keeps it.

nginx adds the same ones (`nginx/headers.conf`) to what it answers itself; `tests/stack` compares the two.
"""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-XSS-Protection": "0",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    }
)
"""`X-XSS-Protection: 0` switches a browser's old filter off, as OWASP advises: the filter itself could be abused."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For our own pages: scripts from this very service alone, none inline."""

STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"


class SecurityHeaders:
    """Pure ASGI. HSTS is added where the request came by TLS: uvicorn says `https` only if a trusted proxy said so."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] = HEADERS) -> None:
        self._app = app
        self._headers = wire_headers(headers)
        self._strict = (b"strict-transport-security", STRICT_TRANSPORT.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ours = [*self._headers, self._strict] if scope.get("scheme") == "https" else self._headers

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                own = {name.lower() for name, _ in headers}
                message = {**message, "headers": headers + [pair for pair in ours if pair[0] not in own]}
            await send(message)

        await self._app(scope, receive, send_secured)


def wire_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As they stand in ASGI messages."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
