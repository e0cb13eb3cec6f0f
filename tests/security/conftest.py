"""Both services for the attacks: the api-server in this process on real PostgreSQL and Valkey, ml-service beside it.

They share keys, store and cache as in an installation. Attacks that need workers take `stack` of tests/conftest.py.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from asgi_lifespan import LifespanManager
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.db.schema import migrate
from mill_api.parts import Parts
from mill_api.settings import Settings
from mill_api.testing import Person, register, settings_for
from mill_kit.logs import configure
from mill_kit.signing import load_private_key
from mill_local.testing import DatabaseMaker, TestDatabase, fresh_database, postgres_server, valkey_server, valkey_url
from mill_local.valkey import ValkeyServer
from mill_serving.app import Parts as ServingParts
from mill_serving.app import create_app as create_serving
from mill_serving.settings import Settings as ServingSettings

from tests.security.evidence import ROOT
from tests.security.rooms import Rooms, rooms_in
from tests.security.support import Estate, make_estate

__all__ = ["fresh_database", "postgres_server", "valkey_server", "valkey_url"]


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> Iterator[None]:
    """As in production: structlog's own default draws every traceback with all its variables, which takes seconds."""
    before = structlog.get_config()
    configure("security", level="ERROR")
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def databases(fresh_database: DatabaseMaker) -> TestDatabase:
    made = fresh_database()
    asyncio.run(migrate(made.owner_url))
    return made


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of keys and objects."""
    return tmp_path_factory.mktemp("installation") / "home"


@pytest.fixture(scope="session")
def settings(databases: TestDatabase, valkey_server: ValkeyServer, installation: Path) -> Settings:
    return settings_for(
        installation, app_url=databases.app_url, system_url=databases.system_url, redis_url=valkey_server.url
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    application = create_app(settings)
    async with LifespanManager(application, startup_timeout=30, shutdown_timeout=30):
        yield application


@pytest.fixture(scope="session")
def parts(app: FastAPI) -> Parts:
    return app.state.parts


@pytest.fixture(scope="session")
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Of the api-server; nobody in particular."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://modelmill.test") as one:
        yield one


@pytest.fixture(scope="session")
async def serving_parts(
    settings: Settings, installation: Path, valkey_server: ValkeyServer
) -> AsyncIterator[ServingParts]:
    """ml-service with the demo models, believing the api-server's keys."""
    for name, path in (("tokens", settings.tokens.private_key_file), ("publish", settings.publish.private_key_file)):
        public = load_private_key(path).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (installation / f"{name}.public.pem").write_bytes(public)
    wanted = ServingSettings.model_validate(
        {
            "environment": "test",
            "store": {"url": settings.store.url, "poll_seconds": 0.1},
            "cache": {"url": valkey_server.url},
            "tokens": {"public_key_file": installation / "tokens.public.pem"},
            "publish": {"public_key_file": installation / "publish.public.pem"},
            "serving": {"cache_dir": installation / "serving", "shared_models_dir": ROOT / "shared-models"},
        }
    )
    made = create_serving(wanted)
    async with LifespanManager(made.documents, startup_timeout=30, shutdown_timeout=30):
        yield made


@pytest.fixture(scope="session")
async def serving(serving_parts: ServingParts) -> AsyncIterator[AsyncClient]:
    """Of ml-service; nobody in particular."""
    async with AsyncClient(transport=ASGITransport(serving_parts.front), base_url="http://serving.test") as one:
        yield one


@pytest.fixture
async def ada(client: AsyncClient) -> Person:
    return await register(client, "ada")


@pytest.fixture
async def bob(client: AsyncClient) -> Person:
    return await register(client, "bob")


@pytest.fixture(scope="session")
async def victim(client: AsyncClient) -> Estate:
    """Somebody with one of everything."""
    return await make_estate(client, "victim")


@pytest.fixture(scope="session")
async def stranger(client: AsyncClient) -> Estate:
    """Somebody with as much, in another workspace."""
    return await make_estate(client, "stranger")


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """Sandboxes for model files from outside; see `tests.security.rooms`."""
    with rooms_in(tmp_path_factory.mktemp("canary")) as opened:
        yield opened
