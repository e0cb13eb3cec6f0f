"""What PostgreSQL's exceptions mean for a request: away or overloaded (send it again), or text it cannot store. Read by `app.py`."""

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

AWAY: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    ConnectionError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


def is_unstorable_text(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and isinstance(error.driver_exception, asyncpg.CharacterNotInRepertoireError)
