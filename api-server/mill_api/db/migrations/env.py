"""Alembic's entry: it runs on the connection that `mill_api.db.schema` puts into the configuration, and on no other."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=context.config.attributes.get("metadata"))
with context.begin_transaction():
    context.run_migrations()
