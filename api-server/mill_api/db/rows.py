"""Bases of every table. A row of a workspace inherits `TenantRow`; row-level security then hides it from all others."""

from datetime import datetime
from uuid import UUID

from mill_contracts.ids import new_id
from sqlalchemy import DateTime, MetaData, func
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(DeclarativeBase):
    """The root of all rows; constraint names follow one convention so that migrations can name them."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: DateTime(timezone=True), UUID: postgresql.UUID(as_uuid=True)}

    __mapper_args__ = {
        "eager_defaults": True
    }  # what the database fills in comes back with the write, not by a lazy load

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)


class Timestamped:
    """Mixin: when the row was made and last changed, by the database's clock."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class TenantRow(Timestamped, Row):
    """A row that belongs to one workspace. Its migration calls `protect_tenant_table` (`db.rls`)."""

    __abstract__ = True

    tenant_id: Mapped[UUID] = mapped_column(index=True)
