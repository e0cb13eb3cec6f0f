"""How large a body may be. Put around the application by `layers`."""

import asyncio
import re

from mill_kit.http.problems import problem_response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_api.errors import TooLarge

JSON_LIMIT = 2**20
PATIENCE_SECONDS = 30.0
WHOLE_SECONDS = 60.0


class BodyLimit:
    """Refuses a body larger than `limit` bytes, before anything reads it, on all paths but those that stream uploads.

    FastAPI reads a body whole before it asks who is there, so this must not depend on what the client says of it. On every
    path a body whose next bytes do not come within `patience` seconds is given up, and a small one has `whole` seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        streamed: re.Pattern[str],
        limit: int = JSON_LIMIT,
        patience: float = PATIENCE_SECONDS,
        whole: float = WHOLE_SECONDS,
    ) -> None:
        self._app = app
        self._limit = limit
        self._streamed = streamed
        self._patience = patience
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "POST" and self._streamed.fullmatch(scope["path"]):
            await self._app(scope, self._patient(receive, None), send)
        elif (announced := _header(scope, b"content-length")).isdigit() and int(announced) > self._limit:
            await problem_response(self._refusal(), scope["path"])(scope, receive, send)
        else:
            await self._app(scope, self._counting(self._patient(receive, self._whole)), send)

    def _patient(self, receive: Receive, whole: float | None) -> Receive:
        """Only while the body is still coming: afterwards an application waits here for the client to leave."""
        complete = False
        end = None if whole is None else asyncio.get_running_loop().time() + whole

        async def receive_in_time() -> Message:
            nonlocal complete
            if complete:
                return await receive()
            left = self._patience if end is None else min(self._patience, end - asyncio.get_running_loop().time())
            try:
                message = await asyncio.wait_for(receive(), max(0.0, left))
            except TimeoutError:
                raise HTTPException(408, "The body came too slowly; send it again") from None
            complete = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        return receive_in_time

    def _counting(self, receive: Receive) -> Receive:
        seen = 0

        async def receive_some() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise HTTPException(TooLarge.status, self._refusal().detail)  # FastAPI lets only its own through
            return message

        return receive_some

    def _refusal(self) -> TooLarge:
        return TooLarge(f"A request body has at most {self._limit} bytes here; upload data as multipart/form-data")


def _header(scope: Scope, name: bytes) -> bytes:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value for key, value in headers if key == name), b"")
