"""What PostgreSQL's exceptions mean for a request: away or overloaded (send it again), or a value it cannot store. Read by `app.py`."""

import asyncpg
from sqlalchemy import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

AWAY: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    PoolTimeout,
    ConnectionError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that died in the middle of something
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


def say_away(context: ExceptionContext) -> None:
    """For the engine's event `handle_error`: SQLAlchemy calls a server that starts, stops or is full a `DBAPIError` like any other.

    The connection is given up, and the pool's others with it.
    """
    error = context.sqlalchemy_exception
    known = isinstance(error, OperationalError | InterfaceError)
    if isinstance(error, DBAPIError) and not known and isinstance(error.driver_exception, AWAY):
        context.is_disconnect = True
        raise OperationalError(error.statement, error.params, error.orig or error) from error


_UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,  # NUL in text
    asyncpg.UntranslatableCharacterError,  # NUL in JSON
    asyncpg.InvalidTextRepresentationError,  # half a character, NaN or Infinity in JSON
)


def is_unstorable(error: Exception) -> bool:
    """Also a string or a number that asyncpg itself cannot send: half a character, a number too large for its column."""
    if not isinstance(error, DBAPIError):
        return False
    refusal = error.driver_exception
    return isinstance(refusal, _UNSTORABLE) or (
        isinstance(refusal, asyncpg.DataError) and isinstance(refusal.__cause__, UnicodeError | OverflowError)
    )
