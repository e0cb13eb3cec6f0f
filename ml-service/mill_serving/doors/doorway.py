"""What every door but the hottest has in common: read the request, unpack the body, answer or refuse, count.

A protocol gives its handlers and the shape of its refusals; the front calls `Doorway.serve`.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import msgspec
from mill_kit.logs import get_logger
from mill_kit.problems import Problem, Unavailable
from starlette.types import Receive, Scope, Send

from mill_serving.deadline import DEADLINE, deadline_of
from mill_serving.deadline import HEADER as DEADLINE_HEADER
from mill_serving.doors.encodings import pack, unpacked
from mill_serving.doors.http import ClientLeft, Head, RequestIds, read_body, read_head
from mill_serving.errors import BodyTooLarge, MethodNotAllowed
from mill_serving.performance import HEADER as PROFILE_HEADER
from mill_serving.performance import TRANSACTION, Transaction, is_asked
from mill_serving.statistics import Statistics

_encode = msgspec.json.Encoder().encode
JSON = b"application/json"
_CLIENT_CLOSED = 499
_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Reply:
    """`packable`: gzip or deflate it where the client asks for that."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    packable: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its head, and its body once somebody asks for it."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    head: Head
    begun: float
    limit: int
    receive: Receive

    @property
    def secret(self) -> str | None:
        return self.head.secret

    def header(self, name: bytes) -> bytes:
        return self.headers.get(name, b"")

    async def body(self) -> bytes:
        """Unpacked, at most `limit` bytes packed and unpacked."""
        body = await read_body(self.receive, self.head.length, self.limit)
        encoding = self.header(b"content-encoding")
        return await unpacked(body, encoding, self.limit) if encoding else body

    def media_type(self) -> tuple[str, dict[str, str]]:
        return media_type(self.header(b"content-type"))

    def allow(self, *methods: str) -> None:
        """Raises `MethodNotAllowed`."""
        if self.method not in methods:
            raise MethodNotAllowed(*methods)


Handler = Callable[[Call], Awaitable[Reply]]
Refuse = Callable[[Problem, Call], Reply]


@dataclass(frozen=True)
class Doorway:
    """`body_bytes` limits a body before and after unpacking; `may_profile` is the engine's; `most` requests are answered at once."""

    statistics: Statistics
    body_bytes: int
    may_profile: Callable[[str | None], str]
    most: int
    ids: RequestIds = field(default_factory=RequestIds)

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, route: str, handle: Handler, refuse: Refuse
    ) -> None:
        call = self._call(scope, receive)
        self.statistics.active += 1
        status = _CLIENT_CLOSED
        try:
            reply = await self._answered(call, handle, refuse)
            if reply is not None:
                status = reply.status
                await _send(send, reply, call)
        finally:
            self.statistics.active -= 1
            method = known_method(call.method)
            self.statistics.answered(method, route, status, time.perf_counter() - call.begun)

    async def _answered(self, call: Call, handle: Handler, refuse: Refuse) -> Reply | None:
        """None when nobody waits any more."""
        try:
            if call.method == "POST":
                self.statistics.refuse_beyond(self.most)
            deadline = call.header(DEADLINE_HEADER)
            if deadline:
                DEADLINE.set(deadline_of(deadline))
            transaction = Transaction(call.head.request_id.decode(), call.begun)
            if is_asked(call.header(PROFILE_HEADER)):
                transaction.profiled_for = self.may_profile(call.secret)
            TRANSACTION.set(transaction)
            reply = await handle(call)
            more = transaction.headers()
            return replace(reply, headers=reply.headers + more) if more else reply
        except ClientLeft:
            return None
        except Exception as error:
            problem = foreseen(error, call.path, call.head.request_id.decode())
            reply = refuse(problem, call)
            extra = tuple(
                (name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()
            )
            if isinstance(problem, BodyTooLarge):
                extra += ((b"connection", b"close"),)
            return Reply(reply.body, reply.status, reply.content_type, reply.headers + extra)

    def _call(self, scope: Scope, receive: Receive) -> Call:
        return Call(
            method=scope["method"],
            path=scope["path"],
            headers=dict(scope["headers"]),
            head=read_head(scope, self.ids),
            begun=time.perf_counter(),
            limit=self.body_bytes,
            receive=receive,
        )


def known_method(method: str) -> str:
    """A client may invent methods; a metric label must not follow."""
    return method if method in _METHODS else "OTHER"


def media_type(value: bytes) -> tuple[str, dict[str, str]]:
    """`text/csv; charset=utf-8` as its name, in small letters, and its parameters."""
    name, *rest = value.decode("latin-1").split(";")
    pairs = (part.partition("=") for part in rest)
    return name.strip().lower(), {key.strip().lower(): text.strip().strip('"') for key, _, text in pairs}


def problem_reply(problem: Problem, call: Call) -> Reply:
    """The refusal as `application/problem+json`."""
    document = problem.document(instance=call.path, request_id=call.head.request_id.decode())
    return Reply(_encode(document), problem.status, b"application/problem+json")


def foreseen(error: Exception, path: str, request_id: str) -> Problem:
    """The problem it is; what nobody foresaw is logged and becomes a bare one."""
    if not isinstance(error, Problem):
        get_logger().error("unhandled_error", path=path, request_id=request_id, exc_info=error)
        return Problem("Something went wrong on our side; the request id finds it in the logs.")
    if error.status >= 500 and not isinstance(error, Unavailable):  # overload must not flood the log
        get_logger().warning("problem", slug=error.slug, detail=error.detail, request_id=request_id)
    return error


async def _send(send: Send, reply: Reply, call: Call) -> None:
    body, headers = reply.body, list(reply.headers)
    if reply.packable:
        body, encoding = pack(body, call.header(b"accept-encoding"))
        if encoding:
            headers += [(b"content-encoding", encoding), (b"vary", b"accept-encoding")]
    headers += [
        (b"content-type", reply.content_type),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", call.head.request_id),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if call.method == "HEAD" else body})
