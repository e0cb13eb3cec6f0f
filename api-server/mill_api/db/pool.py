"""SQLAlchemy's pool of connections, with a look at who is waiting. Used by `db.sessions`.

A request whose client has left would take its turn, do work for nobody, and let those behind it wait; the longer the queue, the
more of it are such requests. Here they pass through it without touching a connection.
"""

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from mill_api.db.presence import require_client


class PresentClientsPool(AsyncAdaptedQueuePool):
    """Raises `ClientLeft` before and after a request waits for its turn."""

    def _do_get(self) -> ConnectionPoolEntry:
        require_client()
        try:
            entry = super()._do_get()
        except PoolTimeout:
            require_client()
            raise
        try:
            require_client()
        except BaseException:
            self._do_return_conn(entry)
            raise
        return entry
