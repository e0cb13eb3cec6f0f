"""The workspace and the user of a request in every log line it causes. Put around the application by `layers`."""

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from mill_api.access.caller import CALLER, Caller

_NAMES = ("tenant", "user")


class TenantLayer:
    """Pure ASGI. An API key's workspace is bound by `access.dependencies.me`, which alone can know it; it is unbound here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get(CALLER)
        if caller is None:
            return await self._app(scope, receive, send)
        if caller.tenant is not None:
            structlog.contextvars.bind_contextvars(tenant=caller.tenant)
        if caller.user is not None:
            structlog.contextvars.bind_contextvars(user=caller.user)
        try:
            await self._app(scope, receive, send)
        finally:
            structlog.contextvars.unbind_contextvars(*_NAMES)
