"""PostgreSQL goes away and comes back: 503 meanwhile, never 500 and never a hang, and nothing needs a restart."""

import asyncio
import time
from pathlib import Path

import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.db.schema import migrate
from mill_api.testing import register, settings_for
from mill_local.postgres import PostgresServer
from mill_local.valkey import ValkeyServer


@pytest.mark.slow
async def test_requests_are_told_to_come_back_while_the_database_is_away(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with PostgresServer.temporary() as server:
        await migrate(server.url("mill_owner"))
        settings = settings_for(
            tmp_path, app_url=server.url(), system_url=server.url("mill_system"), redis_url=valkey_server.url
        )
        application = create_app(settings)
        async with (
            LifespanManager(application, startup_timeout=30, shutdown_timeout=30),
            AsyncClient(transport=ASGITransport(application), base_url="http://modelmill.test") as client,
        ):
            ada = await register(client, "ada")
            await asyncio.to_thread(server.kill)
            begun = time.monotonic()
            for method, path in [("GET", "/api/v1/projects"), ("POST", "/api/v1/projects")]:
                answer = await client.request(method, path, json={"name": "x"}, headers=ada.headers)
                assert (answer.status_code, answer.headers.get("retry-after")) == (503, "2"), answer.text
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
            assert time.monotonic() - begun < 20
            await asyncio.to_thread(server.start)
            answer = await client.post("/api/v1/projects", json={"name": "x"}, headers=ada.headers)
            assert answer.status_code == 201, answer.text
            assert (await client.get("/health/ready")).status_code == 200
