"""Uvicorn's connection with limits on a request's head: so many bytes, within so many seconds; and with a word when the client
leaves. Handed to uvicorn by `__main__`.

Its parser takes headers of any size, and a client that opens a connection and says nothing may stay for ever. nginx has limits of
its own; these hold for whoever reaches the server without it.
"""
# pyright: reportOptionalMemberAccess=false

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mill_api.db.presence import PRESENCE, Presence

HEAD_BYTES = 64 * 2**10
HEAD_SECONDS = 15.0


class BoundedConnection(HttpToolsProtocol):
    """A head that is too large is a 431, one that does not come is a 408; both end the connection."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._head_bytes = 0
        self._in_head = True
        self._refused = False
        self._patience: asyncio.TimerHandle | None = None
        self._presence = Presence()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)
        self._presence.leave()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_bytes += len(data) if self._in_head else 0
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self._refused:
            self._refuse_large()

    def on_message_begin(self) -> None:
        self._in_head = True
        if self._patience is None:
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._in_head, self._head_bytes = False, 0
        self._stop_waiting()
        if size > HEAD_BYTES:
            self._refuse_large()
        else:
            self.scope[PRESENCE] = self._presence  # type: ignore[typeddict-unknown-key]
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def _await_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._refuse_slow)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse_large(self) -> None:
        detail = f"The request line and the headers may take {HEAD_BYTES} bytes together"
        self._refuse(431, "headers-too-large", "The headers are too large", detail)

    def _refuse_slow(self) -> None:
        self._patience = None
        cycle = self.cycle  # None before the first request, whatever uvicorn declares
        answering = cycle is not None and not cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]
        if not (self._refused or answering):
            self._refuse(408, "too-slow", "The request came too slowly", "Send it again")

    def _refuse(self, status: int, slug: str, title: str, detail: str) -> None:
        self._refused = True
        document = {"type": f"urn:modelmill:problem:{slug}", "title": title, "status": status, "detail": detail}
        body = json.dumps(document).encode()
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\nx-content-type-options: nosniff\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
            self.transport.close()
