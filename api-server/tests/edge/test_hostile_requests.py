"""Requests that would hold the server up: slow, endless, larger than anybody needs. Each ends soon, with a 4xx, in little memory.

A client that goes on sending after the answer may see a reset (status 0 here) in its place. A real uvicorn with our
own connection class; attack class A16.
"""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import uvicorn
from fastapi import FastAPI
from mill_api.edge import connection
from mill_api.edge.body import BodyLimit
from mill_api.edge.connection import BoundedConnection
from mill_api.testing import Person
from starlette.exceptions import HTTPException
from starlette.types import Scope

BOUNDARY = b"x9"
MEGABYTE = 2**20


@dataclass(frozen=True)
class Server:
    port: int

    async def send(self, *parts: bytes, pause: float = 0, patience: float = 20) -> tuple[int, dict[str, Any]]:
        """Send `parts` until the server answers or closes; the status and the document, (0, {}) where it only closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = asyncio.create_task(reader.read())
        try:
            for part in parts:
                if answer.done():
                    break
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            pass
        try:
            said = await asyncio.wait_for(answer, patience)
        except ConnectionError:
            said = b""
        finally:
            writer.close()
        head, _, document = said.partition(b"\r\n\r\n")
        return (int(head.split()[1]), json.loads(document)) if head else (0, {})


@pytest.fixture(scope="module")
async def server(app: FastAPI) -> AsyncIterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=BoundedConnection, lifespan="off", log_config=None, access_log=False, ws="none")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve([listening]))
    yield Server(listening.getsockname()[1])
    running.should_exit = True
    await task


def head(path: str, who: Person | None = None, **headers: str) -> bytes:
    given = {"host": "x", "connection": "close", **(who.headers if who else {}), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode()


def multipart(who: Person, length: int) -> bytes:
    kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    return head("/api/v1/datasets", who, content_type=kind, content_length=str(length))


async def grown(work: Any) -> tuple[tuple[int, dict[str, Any]], float]:
    """What the work gave, and by how many megabytes this process has grown."""
    before = psutil.Process().memory_info().rss
    return await work, (psutil.Process().memory_info().rss - before) / MEGABYTE


async def test_a_header_of_a_megabyte_is_refused(server: Server) -> None:
    lines = [b"GET /health HTTP/1.1\r\nx-big: ", *[b"x" * 16_384] * 64, b"\r\n\r\n"]
    (status, document), megabytes = await grown(server.send(*lines))
    assert status in {431, 0}
    assert not document or document["type"].endswith("headers-too-large")
    assert megabytes < 20


async def test_many_small_headers_in_one_packet_are_refused(server: Server) -> None:
    lines = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 90) for number in range(700))
    status, document = await server.send(b"GET /health HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n")
    assert (status, document["status"]) == (431, 431)


async def test_an_ordinary_head_is_served_also_in_pieces_and_again_on_the_same_connection(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(3):
        for piece in (b"GET /health/live HT", b"TP/1.1\r\nhost: x\r\n", b"x-long: " + b"y" * 20_000 + b"\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        length = 0
        while (line := await reader.readline()) != b"\r\n":
            length = int(line.split()[1]) if line.startswith(b"content-length") else length
        await reader.readexactly(length)
    writer.close()


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nhost"])
async def test_a_head_that_does_not_come_is_not_waited_for(
    server: Server, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    status, document = await server.send(said)
    assert (status, document["type"].rpartition(":")[2]) == (408, "too-slow")


async def test_a_body_that_does_not_come_is_not_waited_for(app: FastAPI, ada: Person) -> None:
    async def say(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        if sent:
            await asyncio.Event().wait()
        sent.append(1)
        return {"type": "http.request", "body": b"{", "more_body": True}

    sent: list[int] = []
    layer = BodyLimit(say, streamed=re.compile("/streamed"), patience=0.2)
    for path in ("/streamed", "/other"):
        sent.clear()
        begun = time.monotonic()
        scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        with pytest.raises(HTTPException, match="too slowly"):
            await layer(scope, receive, None)  # pyright: ignore[reportArgumentType]
        assert time.monotonic() - begun < 10


async def test_a_hundred_thousand_parts_are_refused_soon(server: Server, ada: Person) -> None:
    part = b'--x9\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
    content = part * 100_000
    pieces = [content[start : start + MEGABYTE] for start in range(0, len(content), MEGABYTE)]
    begun = time.monotonic()
    (status, document), megabytes = await grown(server.send(multipart(ada, len(content)), *pieces))
    assert status in {422, 0}, document
    assert time.monotonic() - begun < 10
    assert megabytes < 40
    status, document = await server.send(multipart(ada, len(part) * 100), part * 100)
    assert (status, document["detail"]) == (422, "More than 64 parts")


async def test_a_text_part_of_a_hundred_megabytes_is_refused_soon(server: Server, ada: Person) -> None:
    opening = b'--x9\r\ncontent-disposition: form-data; name="description"\r\n\r\n'
    length = len(opening) + 100 * MEGABYTE
    chunk = b"x" * MEGABYTE
    (status, document), megabytes = await grown(server.send(multipart(ada, length), opening, *[chunk] * 100))
    assert status in {400, 413, 422, 0}, document
    assert megabytes < 40


async def test_junk_before_the_first_boundary_is_refused_or_skipped_in_little_memory(
    server: Server, ada: Person
) -> None:
    junk = [b"j" * MEGABYTE] * 30
    (status, document), megabytes = await grown(server.send(multipart(ada, 30 * MEGABYTE), *junk))
    assert status in {422, 0}, document
    assert megabytes < 40
    status, document = await server.send(multipart(ada, 1000), b"j" * 1000)
    assert status == 422, document


async def test_a_content_type_made_to_be_slow_is_read_at_once(server: Server, ada: Person) -> None:
    slow = 'application/x-www-form-urlencoded; !="' + "\\" * 30_000
    begun = time.monotonic()
    for path in ("/api/v1/auth/token", "/api/v1/datasets"):
        status, _ = await server.send(head(path, ada, content_type=slow, content_length="3") + b"a=b")
        assert 400 <= status < 500
    assert time.monotonic() - begun < 5
