"""What crosses the wire about projects."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from mill_api.access.people import PersonName
from mill_api.projects.tables import ProjectMemberRow, ProjectRow
from mill_api.texts import Description, FreeJson, Name, Tags

NamedRole = Literal["viewer", "editor"]


class ProjectDraft(BaseModel):
    """`config` is free JSON of at most 64 KiB; nothing here reads it.

    `default_role` is what the workspace's data scientists are here who are not named as members.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    description: Description = ""
    tags: Tags = []
    config: FreeJson = {}
    default_role: NamedRole = "editor"


class ProjectChange(BaseModel):
    """Fields that are left out stay as they are. Only an owner changes `default_role`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name | None = None
    description: Description | None = None
    tags: Tags | None = None
    config: FreeJson | None = None
    default_role: NamedRole | None = None


class Project(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    description: str
    tags: list[str]
    config: dict[str, Any]
    archived: bool
    created_by: UUID | None
    owner_id: UUID | None
    default_role: NamedRole
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
            owner_id=row.owner_id,
            default_role="viewer" if row.default_role == "viewer" else "editor",
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class ProjectDeletion(BaseModel):
    """What goes with the project: how many of each kind."""

    model_config = ConfigDict(frozen=True)

    project_id: UUID
    name: str
    contents: dict[str, int]


class ProjectMember(BaseModel):
    """Somebody who is named in a project. The owner and the workspace's admins need no naming."""

    model_config = ConfigDict(frozen=True)

    user_id: UUID
    username: str
    email: str
    role: NamedRole

    @classmethod
    def of(cls, row: ProjectMemberRow, user: PersonName) -> "ProjectMember":
        role: NamedRole = "viewer" if row.role == "viewer" else "editor"
        return cls(user_id=row.user_id, username=user.username, email=user.email, role=role)


class ProjectMemberRole(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: NamedRole


class NewProjectOwner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: UUID
