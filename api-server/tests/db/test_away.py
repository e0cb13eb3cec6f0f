"""A server that refuses connections for the moment is away, whatever its refusal is called."""

from collections.abc import Iterator

import pytest
from mill_api.db import Database
from mill_api.db.away import AWAY
from mill_local.postgres import PostgresServer
from mill_local.testing import DatabaseMaker
from sqlalchemy import text


@pytest.fixture
def full(postgres_server: PostgresServer) -> Iterator[None]:
    """No more connections for the services."""
    postgres_server.psql("--command", "ALTER ROLE mill_app CONNECTION LIMIT 0")
    yield
    postgres_server.psql("--command", "ALTER ROLE mill_app CONNECTION LIMIT -1")


async def test_a_refused_connection_means_away(fresh_database: DatabaseMaker, full: None) -> None:
    database = Database.connect(fresh_database().app_url)
    try:
        with pytest.raises(AWAY, match="too many connections"):
            async with database.reading() as reading:
                await reading.execute(text("SELECT 1"))
    finally:
        await database.close()


async def test_a_statement_that_fails_does_not(fresh_database: DatabaseMaker) -> None:
    database = Database.connect(fresh_database().app_url)
    try:
        with pytest.raises(Exception, match="nowhere") as failure:
            async with database.reading() as reading:
                await reading.execute(text("SELECT * FROM nowhere"))
        assert not isinstance(failure.value, AWAY)
    finally:
        await database.close()
