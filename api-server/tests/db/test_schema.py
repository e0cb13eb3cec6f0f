"""Migrations: they make what the rows say, may run again, and a service refuses a database that lacks one."""

import pkgutil
from importlib import import_module

import mill_api
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from mill_api.db import Database, Row
from mill_api.db.schema import migrate, require_current_schema
from mill_api.errors import SchemaOutdated
from mill_local.testing import DatabaseMaker, TestDatabase
from sqlalchemy import Connection


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
    return list(compare_metadata(context, Row.metadata))


async def test_the_migrations_make_what_the_rows_say(databases: TestDatabase) -> None:
    for module in pkgutil.walk_packages(mill_api.__path__, "mill_api."):
        if module.name.endswith(".tables") or module.name == "mill_api.db.store_identity":
            import_module(module.name)
    database = Database.connect(databases.owner_url)
    try:
        async with database.engine.connect() as connection:
            differences = await connection.run_sync(_differences)
            assert not differences, "\n".join(map(repr, differences))
    finally:
        await database.close()


async def test_migrating_twice_is_migrating_once(fresh_database: DatabaseMaker) -> None:
    made = fresh_database()
    await migrate(made.owner_url)
    await migrate(made.owner_url)


async def test_a_service_refuses_a_database_without_its_migrations(fresh_database: DatabaseMaker) -> None:
    database = Database.connect(fresh_database().app_url)
    try:
        with pytest.raises(SchemaOutdated, match="mill_api migrate"):
            await require_current_schema(database.engine)
    finally:
        await database.close()
