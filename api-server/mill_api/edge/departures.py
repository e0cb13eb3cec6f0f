"""What becomes of a request whose client has left. Put around the application by `layers`; `connection` tells who left.

It gets no connection of the database any more (`db.pool`). What only reads is ended a moment later, so that a long query does not
keep its connection; what writes ends its transaction, as if the client had left just after it.
"""

import asyncio

from mill_kit.logs import get_logger
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_api.db.presence import PRESENCE, ClientLeft, Presence, working_for

GRACE_SECONDS = 0.5
"""To end a query in flight its connection must be closed: most end sooner than a new one would take to open."""

_CLIENT_LEFT = 499  # as nginx counts it; nobody reads it


class Departures:
    """Pure ASGI, the innermost layer, so that metrics and log count the request as left and not as failed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        presence: Presence | None = scope.get(PRESENCE)
        if presence is None:
            return await self._app(scope, receive, send)
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        reads = scope["method"] in {"GET", "HEAD"}
        try:
            with working_for(presence):
                await (self._reading if reads else self._app)(scope, receive, send_and_note)
        except ClientLeft:
            get_logger().debug("client_left", path=scope["path"][:500])
            if not begun:
                await Response(status_code=_CLIENT_LEFT)(scope, receive, send)

    async def _reading(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `ClientLeft` in place of the cancellation that it causes."""
        task, loop, ended = asyncio.current_task(), asyncio.get_running_loop(), False
        timer: asyncio.TimerHandle | None = None

        def end() -> None:
            nonlocal ended
            if task is not None:
                ended = True
                task.cancel()

        def left() -> None:
            nonlocal timer
            timer = loop.call_later(GRACE_SECONDS, end)

        presence: Presence = scope[PRESENCE]
        try:
            with presence.watching(left):
                await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not ended or task is None or task.uncancel():
                raise
            raise ClientLeft from None
        finally:
            if timer is not None:
                timer.cancel()
