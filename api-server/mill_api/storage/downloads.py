"""Stored objects as downloads: streamed, with a safe file name, their size and their sha256 as ETag."""

from urllib.parse import quote

from fastapi.responses import StreamingResponse
from mill_kit.store import ObjectInfo, ObjectStore
from starlette.concurrency import iterate_in_threadpool

BYTES = "application/octet-stream"


def download(objects: ObjectStore, stored: ObjectInfo, name: str, media_type: str = BYTES) -> StreamingResponse:
    """`name` is shown to people only (RFC 6266, UTF-8), so it may be whatever the uploader called the file."""
    return StreamingResponse(
        iterate_in_threadpool(objects.stream(stored.key)),
        media_type=media_type,
        headers={
            "Content-Length": str(stored.size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "ETag": f'"{stored.sha256}"',
        },
    )
