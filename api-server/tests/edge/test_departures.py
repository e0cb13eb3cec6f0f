"""Clients that leave: their requests take no connection from those who stay. A real uvicorn with our own connection class."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from asgi_lifespan import LifespanManager
from mill_api.app import create_app
from mill_api.db import Database
from mill_api.edge.connection import BoundedConnection
from mill_api.parts import Parts
from mill_api.settings import Settings
from mill_api.testing import Person
from sqlalchemy import event, text

LEAVERS = 150
BUSY = text("SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND query = 'SELECT pg_sleep(20)'")


@dataclass
class Narrow:
    """A server whose requests share one connection."""

    port: int
    parts: Parts
    running: uvicorn.Server
    statements: list[str] = field(default_factory=list[str])
    written: list[str] = field(default_factory=list[str])

    async def leave(self, verb: str, path: str, headers: dict[str, str], seconds: float = 0.0) -> None:
        """Ask, wait a little, and close the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"host": "x", **headers}.items())
        writer.write(f"{verb} {path} HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.close()
        del reader

    async def committed(self) -> bool:
        return self.written == ["committed"]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False)

    async def deserted(self, staying: int = 0) -> bool:
        return len(self.running.server_state.connections) == staying


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Narrow]:
    pools = settings.database.model_copy(update={"pool_size": 1, "pool_wait_seconds": 3})
    app = create_app(settings.model_copy(update={"database": pools}))
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=BoundedConnection, lifespan="off", log_config=None, access_log=False, ws="none")
    async with LifespanManager(app, startup_timeout=30, shutdown_timeout=30):
        parts: Parts = app.state.parts
        made = Narrow(listening.getsockname()[1], parts, uvicorn.Server(config))

        async def read_for_long() -> None:
            async with parts.database.reading() as session:
                await session.execute(text("SELECT pg_sleep(20)"))

        async def write_slowly() -> None:
            async with parts.database.writing() as work:
                await work.session.execute(text("SELECT pg_sleep(1)"))
            made.written.append("committed")

        app.add_api_route("/read-for-long", read_for_long, methods=["GET"])
        app.add_api_route("/write-slowly", write_slowly, methods=["POST"])

        def note(*arguments: Any) -> None:
            made.statements.append(arguments[2])

        event.listen(parts.database.engine.sync_engine, "before_cursor_execute", note)
        serving = asyncio.create_task(made.running.serve([listening]))
        yield made
        made.running.should_exit = True
        await serving


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Database]:
    """Another way to the database, for who looks at its sessions."""
    made = Database.connect(settings.database.url.get_secret_value(), pool_size=1)
    yield made
    await made.close()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_those_who_left_take_no_connection_from_those_who_stay(narrow: Narrow, ada: Person) -> None:
    async with narrow.parts.database.writing(None) as work, narrow.client() as client:
        await work.session.execute(text("SELECT 1"))
        for _ in range(LEAVERS):
            await narrow.leave("GET", "/api/v1/projects", ada.headers)
        patient = asyncio.create_task(client.get("/api/v1/projects", headers=ada.headers))
        await until(lambda: narrow.deserted(1))
        narrow.statements.clear()
        await work.session.rollback()
        begun = time.monotonic()
        assert (await patient).status_code == 200
        assert time.monotonic() - begun < 2
    looked_up = [one for one in narrow.statements if "memberships" in one]
    assert len(looked_up) == 1, "only the one who stayed was served"


async def test_a_long_read_ends_soon_after_its_client_has_left(narrow: Narrow, ada: Person, watcher: Database) -> None:
    async def busy() -> bool:
        async with watcher.reading() as session:
            return bool(await session.scalar(BUSY))

    async def quiet() -> bool:
        return not await busy()

    leaving = asyncio.create_task(narrow.leave("GET", "/read-for-long", {}, seconds=1.0))
    await until(busy, 5)
    await leaving
    await until(quiet, 5)
    async with narrow.client() as client:
        assert (await client.get("/api/v1/projects", headers=ada.headers)).status_code == 200


async def test_a_write_under_way_is_committed_though_its_client_has_left(narrow: Narrow) -> None:
    await narrow.leave("POST", "/write-slowly", {}, seconds=0.3)
    await until(narrow.deserted)
    assert narrow.written == []
    await until(narrow.committed)


async def test_who_stays_and_gets_no_connection_in_time_is_told_to_come_back(narrow: Narrow, ada: Person) -> None:
    async with narrow.parts.database.writing(None) as work, narrow.client() as client:
        await work.session.execute(text("SELECT 1"))
        answer = await client.get("/api/v1/projects", headers=ada.headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "wait for the database" in answer.json()["detail"]
