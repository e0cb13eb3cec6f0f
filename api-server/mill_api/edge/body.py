"""How large a body may be. Put around the application by `layers`."""

import re

from mill_kit.http.problems import problem_response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mill_api.errors import TooLarge

JSON_LIMIT = 2**20


class BodyLimit:
    """Refuses a body larger than `limit` bytes, before anything reads it, on all paths but those that stream uploads.

    FastAPI reads a body whole before it asks who is there, so this must not depend on what the client says of it.
    """

    def __init__(self, app: ASGIApp, streamed: re.Pattern[str], limit: int = JSON_LIMIT) -> None:
        self._app = app
        self._limit = limit
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] == "POST" and self._streamed.fullmatch(scope["path"])):
            await self._app(scope, receive, send)
        elif (announced := _header(scope, b"content-length")).isdigit() and int(announced) > self._limit:
            await problem_response(self._refusal(), scope["path"])(scope, receive, send)
        else:
            await self._app(scope, self._counting(receive), send)

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
