"""The rows of projects."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from mill_api.db import TenantRow


class ProjectRow(TenantRow):
    """A name is unique among the living projects of a workspace; a deleted one keeps its row, and frees its name.

    `default_role` is what members of the workspace are here who are not named in `project_members`.
    """

    __tablename__ = "projects"
    __table_args__ = (
        Index(
            "uq_projects_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=text("deleted_at IS NULL")
        ),
        Index("ix_projects_tenant_id_created_at_id", "tenant_id", "created_at", "id"),
        CheckConstraint("default_role IN ('viewer', 'editor')", name="default_role"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text, server_default="")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    default_role: Mapped[str] = mapped_column(Text, server_default="editor")
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class ProjectMemberRow(TenantRow):
    """A member of the workspace who is something else in this project than its default role. Ends with the membership."""

    __tablename__ = "project_members"
    __table_args__ = (
        UniqueConstraint("project_id", "user_id"),
        ForeignKeyConstraint(
            ["tenant_id", "user_id"], ["memberships.tenant_id", "memberships.user_id"], ondelete="CASCADE"
        ),
        CheckConstraint("role IN ('viewer', 'editor')", name="role"),
    )

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(index=True)
    role: Mapped[str] = mapped_column(Text)
