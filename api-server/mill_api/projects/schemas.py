"""What crosses the wire about projects."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from mill_api.projects.tables import ProjectRow
from mill_api.texts import Description, FreeJson, Name, Tags


class ProjectDraft(BaseModel):
    """`config` is free JSON of at most 64 KiB; nothing here reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: Description = ""
    tags: Tags = []
    config: FreeJson = {}


class ProjectChange(BaseModel):
    """Fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name | None = None
    description: Description | None = None
    tags: Tags | None = None
    config: FreeJson | None = None


class Project(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    description: str
    tags: list[str]
    config: dict[str, Any]
    archived: bool
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: ProjectRow) -> "Project":
        return cls(
            id=row.id,
            name=row.name,
            description=row.description,
            tags=row.tags,
            config=row.config,
            archived=row.archived_at is not None,
            created_by=row.created_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class ProjectDeletion(BaseModel):
    """What goes with the project: how many of each kind."""

    model_config = ConfigDict(frozen=True)

    project_id: UUID
    name: str
    contents: dict[str, int]
