"""Raw ASGI for the hot routes: what is read of a request, how an answer or a problem leaves. No framework on the way."""

import base64
import binascii
import itertools
import re
import secrets
from dataclasses import dataclass

import msgspec
from mill_kit.problems import Problem
from starlette.types import Receive, Scope, Send

from mill_serving.deadline import HEADER as DEADLINE_HEADER
from mill_serving.errors import BodyTooLarge
from mill_serving.performance import HEADER as PROFILE_HEADER

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_TRACE, _UNSAMPLED = b"traceparent", b"0"
_SPECIAL = frozenset({b"content-encoding", DEADLINE_HEADER, PROFILE_HEADER, b"origin", _TRACE})
_encode = msgspec.json.Encoder().encode


Headers = list[tuple[bytes, bytes]]
Answered = tuple[bytes, bytes, bytes]
"""An answer of the short way: body, request id, header lines that say what the body is."""

JSON_LINES = b"content-type: application/json\r\n"


class RequestIds:
    """Ids unique to the process by a random prefix, and to the request by a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8).encode()
        self._count = itertools.count(1)

    def new(self) -> bytes:
        return b"%b%012x" % (self._prefix, next(self._count))


@dataclass(slots=True)
class Head:
    """What the headers say: the request's id, the caller's secret if any, the announced length; special: not for the quick way."""

    request_id: bytes
    secret: str | None
    length: int
    is_special: bool


class ClientLeft(Exception):  # noqa: N818 - it is an event, not an error
    """The body never came; nobody waits for an answer."""


def read_head(scope: Scope, ids: RequestIds) -> Head:
    return read_headers(scope["headers"], ids)


def read_headers(headers: Headers, ids: RequestIds) -> Head:
    """An API key is taken from `X-API-Key`, as Bearer or as the password of Basic; an access token as Bearer."""
    given, secret, length, is_special = b"", None, 0, False
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"x-api-key":
            secret = value.decode("latin-1").strip()
        elif name == b"authorization" and secret is None:
            secret = _secret_of(value)
        elif name == b"x-request-id":
            given = value
        elif name in _SPECIAL and not (name == _TRACE and value[-1:] == _UNSAMPLED):
            is_special = True
    request_id = given if given and _WELL_FORMED.fullmatch(given) else ids.new()
    return Head(request_id, secret, length, is_special)


def _secret_of(authorization: bytes) -> str:
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return value.strip().decode("latin-1")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[2]


async def read_body(receive: Receive, length: int, limit: int) -> bytes:
    """Raises `BodyTooLarge` before reading where the length is announced, else as soon as the limit is passed."""
    if length > limit:
        raise BodyTooLarge(limit)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientLeft
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise BodyTooLarge(limit)
        return body
    collected = bytearray(body)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            raise ClientLeft
        collected += message.get("body", b"")
        if len(collected) > limit:
            raise BodyTooLarge(limit)
    return bytes(collected)


async def answer(
    send: Send, status: int, body: bytes, request_id: bytes, more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_problem(send: Send, problem: Problem, path: str, request_id: bytes) -> None:
    body = _encode(problem.document(instance=path, request_id=request_id.decode()))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()),
    ]
    if isinstance(problem, BodyTooLarge):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
