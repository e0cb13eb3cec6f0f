"""The rows of projects."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from mill_api.db import TenantRow


class ProjectRow(TenantRow):
    """A name is unique among the living projects of a workspace; a deleted one keeps its row, and frees its name."""

    __tablename__ = "projects"
    __table_args__ = (
        Index(
            "uq_projects_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")
        ),
        Index("ix_projects_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
