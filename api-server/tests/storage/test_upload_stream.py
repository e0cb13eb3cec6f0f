"""Uploads straight through the receiver: every byte in order, and nothing left when the stream ends early."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest
from mill_api.storage.errors import ClientLeft, MalformedUpload, UploadTooLarge
from mill_api.storage.uploads import receive
from mill_kit.problems import Problem
from mill_kit.store.folder import FileStore
from starlette.requests import Request
from starlette.types import Message

KEY = "datasets/one/raw"
PIECE = 2**16
DATA = secrets.token_bytes(5 * 2**20 + 13)
HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
END = b"\r\n--B--\r\n"
BODY = [HEAD, *(DATA[at : at + PIECE] for at in range(0, len(DATA), PIECE))]


def request(parts: Sequence[bytes], last: Message) -> Request:
    waiting = list(parts)

    async def arrive() -> Message:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": True} if waiting else last

    headers = [(b"content-type", b"multipart/form-data; boundary=B")]
    return Request({"type": "http", "method": "POST", "headers": headers}, arrive)


def whole(parts: Sequence[bytes]) -> Request:
    return request(parts, {"type": "http.request", "body": b"", "more_body": False})


def left_behind(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_every_byte_arrives_in_order(tmp_path: Path) -> None:
    upload = await receive(whole([*BODY, END]), FileStore(tmp_path), KEY, max_bytes=len(DATA))
    assert upload.stored.size == len(DATA)
    assert upload.stored.sha256 == hashlib.sha256(DATA).hexdigest()
    assert FileStore(tmp_path).get(KEY) == DATA


@pytest.mark.parametrize(
    ("parts", "last", "most", "refusal"),
    [
        (BODY, {"type": "http.disconnect"}, len(DATA), ClientLeft),
        ([*BODY, END], {"type": "http.request"}, 2 * 2**20, UploadTooLarge),
        ([*BODY, END], {"type": "http.request"}, len(DATA) - 1, UploadTooLarge),
        ([*BODY, b"\r\n--Bxx"], {"type": "http.request"}, 2 * len(DATA), MalformedUpload),
    ],
    ids=["the client leaves", "far too large", "a byte too large", "broken"],
)
async def test_a_stream_that_ends_wrong_leaves_nothing(
    tmp_path: Path, parts: Sequence[bytes], last: Message, most: int, refusal: type[Problem]
) -> None:
    with pytest.raises(refusal):
        await receive(request(parts, last), FileStore(tmp_path), KEY, max_bytes=most)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("arrived", [0, 20, 40, 60])
async def test_a_cancelled_upload_leaves_nothing(tmp_path: Path, arrived: int) -> None:
    reached = asyncio.Event()
    parts = list(BODY)

    async def arrive() -> Message:
        if len(BODY) - len(parts) > arrived:
            reached.set()
            await asyncio.Event().wait()
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    headers = [(b"content-type", b"multipart/form-data; boundary=B")]
    endless = Request({"type": "http", "method": "POST", "headers": headers}, arrive)
    task = asyncio.create_task(receive(endless, FileStore(tmp_path), KEY, max_bytes=len(DATA)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_behind(tmp_path) == []
