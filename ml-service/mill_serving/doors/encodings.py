"""gzip and deflate, both ways: request bodies are unpacked no further than the limit, answers packed where asked for."""

import zlib
from collections.abc import Callable
from typing import Any

from mill_serving.errors import BodyTooLarge, InvalidRequest, UnsupportedEncoding

_GZIP = 16 + zlib.MAX_WBITS
_PACKED_FROM = 1024
_QUICKEST = 1


def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Raises `BodyTooLarge` as soon as more than `limit` bytes come out, `UnsupportedEncoding`, or `InvalidRequest`."""
    match encoding.strip().lower():
        case b"" | b"identity":
            return body
        case b"gzip" | b"x-gzip":
            return _members(body, lambda: zlib.decompressobj(_GZIP), limit)
        case b"deflate":
            window = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
            return _members(body, lambda: zlib.decompressobj(window), limit)
        case _:
            raise UnsupportedEncoding(encoding.decode("latin-1"))


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


def _members(body: bytes, open_one: Callable[[], Any], limit: int) -> bytes:
    """One stream after another, as gzip allows."""
    unpacked = bytearray()
    rest = body
    try:
        while rest:
            stream = open_one()
            unpacked += stream.decompress(rest, limit + 1 - len(unpacked))
            if len(unpacked) > limit:
                raise BodyTooLarge(limit)
            if not stream.eof:
                raise InvalidRequest("the packed body is cut short")
            rest = stream.unused_data
    except zlib.error as error:
        raise InvalidRequest(f"the body is not what its Content-Encoding says: {error}") from None
    return bytes(unpacked)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
