"""Real parts for every test of the control plane: PostgreSQL, Valkey, a folder store, and the application on top of them.

Tests share one database and one application; each makes people and workspaces of its own, which row-level security keeps apart.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.db.schema import migrate
from mill_api.parts import Parts
from mill_api.settings import Settings
from mill_api.testing import Person, register, settings_for
from mill_local.testing import DatabaseMaker, TestDatabase, fresh_database, postgres_server, valkey_server, valkey_url
from mill_local.valkey import ValkeyServer

__all__ = ["fresh_database", "postgres_server", "valkey_server", "valkey_url"]


@pytest.fixture(scope="session")
def migrated_template(fresh_database: DatabaseMaker) -> TestDatabase:
    """A migrated database that nobody connects to: `fresh_database(template=migrated_template.name)` copies it quickly."""
    made = fresh_database()
    asyncio.run(migrate(made.owner_url))
    return made


@pytest.fixture(scope="session")
def databases(fresh_database: DatabaseMaker, migrated_template: TestDatabase) -> TestDatabase:
    """The migrated database that the application of this test run uses."""
    return fresh_database(template=migrated_template.name)


@pytest.fixture(scope="session")
def settings(
    databases: TestDatabase, valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder: Path = tmp_path_factory.mktemp("installation")
    return settings_for(folder, app_url=databases.app_url, system_url=databases.system_url, redis_url=valkey_server.url)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings)
    async with LifespanManager(application, startup_timeout=30, shutdown_timeout=30):
        yield application


@pytest.fixture(scope="session")
def parts(app: FastAPI) -> Parts:
    return app.state.parts


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Nobody in particular: send `headers=person.headers`."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://modelmill.test") as client:
        yield client


@pytest.fixture
async def ada(client: AsyncClient) -> Person:
    """A new user, admin of a workspace of her own."""
    return await register(client, "ada")


@pytest.fixture
async def bob(client: AsyncClient) -> Person:
    """Another new user in another workspace."""
    return await register(client, "bob")
