"""Alembic's entry: it runs on the connection that `mill_api.db.schema` puts into the configuration, and on no other.

The metadata is there for its naming convention: a constraint without a name in a migration gets the one the rows expect.
"""

from alembic import context
from sqlalchemy import Connection

from mill_api.db import Row

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Row.metadata)
with context.begin_transaction():
    context.run_migrations()
