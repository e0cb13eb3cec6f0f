"""Uvicorn's connection with a shorter way for hot requests: single rows and short batches are answered as soon as their last byte is
parsed, without task or scope, and batches of an ordinary size begin when they are complete.

`server` hands it to uvicorn. All parsing, limits and answers of other requests stay uvicorn's, and a request that turns out not to
be hot is handed to it as if it had just begun. See docs/adr/0012-a-short-way-through-uvicorn.md.
"""
# pyright: reportOptionalMemberAccess=false, reportUnnecessaryComparison=false
# Uvicorn says of its parser and its cycle that they are never None; before the first request and after the last they are.

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

Headers = list[tuple[bytes, bytes]]
HotAnswer = Callable[[bytes, Headers, bytes], tuple[bytes, bytes, bytes] | None]
"""Path as on the wire, headers, body to (body, request id, header lines that say what the body is), or None where the ASGI app
must answer."""

_HOT = (b"/predict/", b"/v2/models/", b"/models/")
LONGEST_BODY = 1 << 20
"""Held before anybody is asked who sends it, so no more than that: a batch in one piece spares a dozen turns of the loop."""


class Heads:
    """The unchanging bytes of a 200, made anew when uvicorn changes its default headers: once a second, for the date."""

    def __init__(self) -> None:
        self._made_for: object = None
        self._text = b""

    def of(self, state: ServerState) -> bytes:
        if state.default_headers is not self._made_for:
            self._made_for = state.default_headers
            lines = b"".join(b"%b: %b\r\n" % pair for pair in state.default_headers)
            self._text = b"HTTP/1.1 200 OK\r\n" + lines
        return self._text


class HotConnection(HttpToolsProtocol):
    """`answer` and `heads` are those of the server, shared by its connections; `class_for` binds them."""

    answer: HotAnswer
    heads: Heads

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._is_hot = False
        self._hot_body: list[bytes] = []
        self._hot_length = 0
        self._headers = 0
        self._seen = 0.0
        self._answering: asyncio.Task[Any] | None = None

    def data_received(self, data: bytes) -> None:
        """The keep-alive timer is left running; its handler looks at when something was last heard."""
        self._seen = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        parser = self.parser
        self._headers = len(self.headers)
        if (
            self.url.startswith(_HOT)
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.expect_100_continue
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
        ):
            self._is_hot, self._hot_body, self._hot_length = True, [], 0
        else:
            self._begin_asgi()

    def on_body(self, body: bytes) -> None:
        if not self._is_hot:
            super().on_body(body)
            return
        self._hot_body.append(body)
        self._hot_length += len(body)
        if self._hot_length > LONGEST_BODY:
            self._cool_down()

    def on_message_complete(self) -> None:
        del self.headers[self._headers :]  # trailers are no headers
        if self._is_hot:
            body = self._hot_body[0] if len(self._hot_body) == 1 else b"".join(self._hot_body)
            answered = self.answer(self.url, self.headers, body)
            if answered is not None:
                self._is_hot, self._hot_body = False, []
                self._write(*answered)
                self.server_state.total_requests += 1
                if self.timeout_keep_alive_task is None:
                    self._await_more(self.timeout_keep_alive)
                return
            self._hot_body = [body]
            self._cool_down()
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()  # paused by a large body, or nobody would see the client leave

    def shutdown(self) -> None:
        """A request half received is still answered."""
        if self._is_hot:
            self._cool_down()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        left = self._seen + self.timeout_keep_alive - self.loop.time()
        if self._is_hot or not (self.cycle is None or self.cycle.response_complete):
            self._await_more(self.timeout_keep_alive)
        elif left > 0.001:
            self._await_more(left)
        else:
            super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """A client that leaves takes its request with it: what still waits for it is cancelled."""

        async def answered(scope: Any, receive: Any, send: Any) -> None:
            self._answering = asyncio.current_task()
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not cycle.disconnected:
                    raise
            finally:
                self._answering = None

        super()._start_asgi_task(cycle, answered)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_hot, self._hot_body = False, []
        super().connection_lost(exc)
        if self._answering is not None and self.cycle.disconnected:
            self._answering.cancel()
        self._unset_keepalive_if_required()

    def _write(self, payload: bytes, request_id: bytes, about: bytes) -> None:
        head = self.heads.of(self.server_state)
        self.transport.write(
            b"%b%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n%b" % (head, about, len(payload), request_id, payload)
        )

    def _await_more(self, seconds: float) -> None:
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _cool_down(self) -> None:
        """Hand the request to uvicorn, with what has come of its body."""
        body, self._is_hot, self._hot_body = b"".join(self._hot_body), False, []
        self._begin_asgi()
        if body:
            super().on_body(body)

    def _begin_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()


def class_for(answer: HotAnswer) -> type[HotConnection]:
    """Uvicorn takes a class: this one knows the server's doors."""
    return type("ServerConnection", (HotConnection,), {"answer": staticmethod(answer), "heads": Heads()})
