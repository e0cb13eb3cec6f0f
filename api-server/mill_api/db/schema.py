"""Bring the schema up to date, and tell whether it is. Called by `python -m mill_api migrate`, at start, and by tests."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mill_api.errors import SchemaOutdated

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('mill.migrations'))")
_IMPATIENT = text("SET LOCAL lock_timeout = '10s'")


async def migrate(url: str) -> None:
    """Apply what is missing, as the role in `url`; a second caller waits for the first. All or nothing."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1), connect_args={"timeout": 10})
    try:
        async with engine.begin() as connection:
            await connection.execute(_LOCK)
            await connection.execute(_IMPATIENT)
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def require_current_schema(engine: AsyncEngine) -> None:
    """Raise `SchemaOutdated` unless the database stands at the newest migration of this build."""
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    async with engine.connect() as connection:
        known = await connection.scalar(text("SELECT to_regclass('alembic_version')"))
        found = await connection.scalar(text("SELECT version_num FROM alembic_version")) if known else None
    if found != wanted:
        raise SchemaOutdated(
            f"The database is at migration {found}, this build needs {wanted}: run `python -m mill_api migrate`"
        )


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
