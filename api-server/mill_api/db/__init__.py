"""The one way to PostgreSQL: rows, sessions that carry their tenant, and the unit of work that commits at the edge."""

from mill_api.db.rows import Row, TenantRow, Timestamped
from mill_api.db.sessions import Database
from mill_api.db.unit_of_work import ReadSession, UnitOfWork, WriteSession

__all__ = ["Database", "ReadSession", "Row", "TenantRow", "Timestamped", "UnitOfWork", "WriteSession"]
