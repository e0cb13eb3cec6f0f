"""Stored objects as downloads: streamed, with a safe file name, their size and their sha256 as ETag.

The bytes are hashed on their way out. Of an object that is not what was acknowledged nobody gets all: the connection ends early.
"""

import hashlib
from collections.abc import Iterator
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from mill_kit.logs import get_logger
from mill_kit.store import CorruptObject, ObjectInfo, ObjectStore
from starlette.concurrency import iterate_in_threadpool

BYTES = "application/octet-stream"


def download(objects: ObjectStore, stored: ObjectInfo, name: str, media_type: str = BYTES) -> StreamingResponse:
    """`name` is shown to people only (RFC 6266, UTF-8), so it may be whatever the uploader called the file."""
    return StreamingResponse(
        iterate_in_threadpool(verified(objects, stored)),
        media_type=media_type,
        headers={
            "Content-Length": str(stored.size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "ETag": f'"{stored.sha256}"',
        },
    )


def verified(objects: ObjectStore, stored: ObjectInfo) -> Iterator[bytes]:
    """The last chunk follows only when all of them add up to the sha256. Raises `CorruptObject`."""
    digest, held = hashlib.sha256(), b""
    for chunk in objects.stream(stored.key):
        digest.update(chunk)
        if held:
            yield held
        held = chunk
    if digest.hexdigest() != stored.sha256:
        get_logger().error("object_damaged", key=stored.key)
        raise CorruptObject(f"{stored.key} differs from what was acknowledged: `modelmill doctor` tells what else does")
    yield held
