"""A process that sees another store than the database names refuses to start."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mill_api.app import create_app
from mill_api.db import Database
from mill_api.db.store_identity import IDENTITY_KEY, require_same_store
from mill_api.errors import WrongStore
from mill_api.testing import settings_for
from mill_kit.testing import MemoryStore
from mill_local.testing import DatabaseMaker, TestDatabase
from mill_local.valkey import ValkeyServer


@pytest.fixture
async def database(fresh_database: DatabaseMaker, migrated_template: TestDatabase) -> AsyncIterator[Database]:
    """A database that has not met any store."""
    database = Database.connect(fresh_database(template=migrated_template.name).app_url)
    yield database
    await database.close()


async def test_the_first_start_makes_them_belong_together(database: Database) -> None:
    store = MemoryStore()
    first, second = await asyncio.gather(require_same_store(database, store), require_same_store(database, store))
    assert first == second == await require_same_store(database, store)
    assert store.get(IDENTITY_KEY).decode() == str(first)


async def test_another_store_is_refused(database: Database) -> None:
    await require_same_store(database, MemoryStore())
    with pytest.raises(WrongStore, match="carries no identity"):
        await require_same_store(database, MemoryStore())
    other = MemoryStore()
    other.put(IDENTITY_KEY, b"0197a000-0000-7000-8000-000000000000")
    with pytest.raises(WrongStore, match="MILL_STORE__URL"):
        await require_same_store(database, other)
    broken = MemoryStore()
    broken.put(IDENTITY_KEY, b"\xff")
    with pytest.raises(WrongStore, match="not one of ours"):
        await require_same_store(database, broken)


async def test_a_store_restored_with_its_identity_is_taken_by_a_new_database(database: Database) -> None:
    store = MemoryStore()
    store.put(IDENTITY_KEY, b"0197a000-0000-7000-8000-000000000000")
    assert str(await require_same_store(database, store)) == "0197a000-0000-7000-8000-000000000000"


async def test_the_api_server_does_not_start_on_another_store(
    databases: TestDatabase, valkey_server: ValkeyServer, app: object, tmp_path: Path
) -> None:
    elsewhere = settings_for(
        tmp_path, app_url=databases.app_url, system_url=databases.system_url, redis_url=valkey_server.url
    )
    application = create_app(elsewhere)
    with pytest.raises(WrongStore):
        async with application.router.lifespan_context(application):
            pass
