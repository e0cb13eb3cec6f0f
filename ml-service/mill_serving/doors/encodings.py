"""gzip and deflate, both ways: request bodies are unpacked no further than the limit, answers packed where asked for."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

from mill_serving.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding

_GZIP = 16 + zlib.MAX_WBITS
_PACKED_FROM = 1024
_QUICKEST = 1
_UNPACKED_INLINE = 1 << 12
_MOST_MEMBERS = 100
_PIECE = 1 << 16


def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Raises `BodyTooLarge` as soon as more than `limit` bytes come out, `UnsupportedEncoding`, or `InvalidRequest`."""
    match encoding.strip().lower():
        case b"" | b"identity":
            return body
        case b"gzip" | b"x-gzip":
            return _members(body, lambda: zlib.decompressobj(_GZIP), limit, most=_MOST_MEMBERS)
        case b"deflate":
            window = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
            return _members(body, lambda: zlib.decompressobj(window), limit, most=1)
        case _:
            raise UnsupportedEncoding(encoding.decode("latin-1"))


async def unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    """`unpack`, in a thread where it could take long."""
    if len(body) <= _UNPACKED_INLINE:
        return unpack(body, encoding, limit)
    return await asyncio.to_thread(unpack, body, encoding, limit)


def pack(body: bytes, accepted: bytes) -> tuple[bytes, bytes]:
    """The body and its encoding (`b""`: as it was): gzip or deflate where the client names it and it is worth while."""
    if len(body) < _PACKED_FROM or not accepted:
        return body, b""
    wanted = [_wanted(part) for part in accepted.lower().split(b",")]
    for name, window in ((b"gzip", _GZIP), (b"deflate", zlib.MAX_WBITS)):
        if name in wanted:
            packer = zlib.compressobj(_QUICKEST, zlib.DEFLATED, window)
            return packer.compress(body) + packer.flush(), name
    return body, b""


def _wanted(part: bytes) -> bytes:
    name, _, weight = part.strip().partition(b";")
    return b"" if weight.strip().replace(b" ", b"") in {b"q=0", b"q=0.0"} else name.strip()


def _members(body: bytes, open_one: Callable[[], Any], limit: int, most: int) -> bytes:
    """At most so many streams one after another, as gzip allows: a client that writes more is not one that saves bytes."""
    unpacked, view, position = bytearray(), memoryview(body), 0
    try:
        for _ in range(most):
            position = _one_member(view, position, open_one(), unpacked, limit)
            if position == len(view):
                return bytes(unpacked)
    except zlib.error as error:
        raise InvalidRequest(f"the body is not what its Content-Encoding says: {error}") from None
    raise InvalidRequest(f"the packed body goes on after {most} stream{'s' * (most > 1)}; pack it in one")


def _one_member(view: memoryview, position: int, stream: Any, unpacked: bytearray, limit: int) -> int:
    """Where it ends. It is fed in pieces: what is left of a piece is copied, and the rest of the body is not."""
    while not stream.eof:
        piece = stream.unconsumed_tail or view[position : position + _PIECE]
        if not len(piece):
            raise InvalidRequest("the packed body is cut short")
        position += 0 if stream.unconsumed_tail else len(piece)
        unpacked += stream.decompress(piece, limit + 1 - len(unpacked))
        if len(unpacked) > limit:
            raise BodyTooLarge(limit)
    return position - len(stream.unused_data)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
