"""What a member of the workspace is in a project: its owner, an editor, or a viewer. Asked by the services of projects and above.

The role in the workspace is the ceiling: an admin is everywhere an owner, a user nowhere more than a viewer. Between them stand
the project's owner, whoever is named in it, and for all others its default role.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from mill_contracts.tokens import Role
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.principal import Principal
from mill_api.projects.errors import ProjectRoleTooLow
from mill_api.projects.tables import ProjectMemberRow, ProjectRow


class ProjectRole(StrEnum):
    """Each holds what the one before it holds. An owner also deletes the project, names its members and hands it over."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


_PROJECT = "project_id"
_ORDER = tuple(ProjectRole)
ProjectOf = Callable[[AsyncSession, UUID], Awaitable[UUID | None]]
"""The project that something of this id lies in; None for what the session's workspace does not have."""


async def role_in(session: AsyncSession, who: Principal, project: ProjectRow) -> ProjectRole:
    if who.role is Role.ADMIN:
        return ProjectRole.OWNER
    if who.role is Role.USER:
        return ProjectRole.VIEWER
    if project.owner_id == who.user_id:
        return ProjectRole.OWNER
    named = await session.scalar(
        select(ProjectMemberRow.role).where(
            ProjectMemberRow.project_id == project.id, ProjectMemberRow.user_id == who.user_id
        )
    )
    return ProjectRole(named or project.default_role)


async def require_role(session: AsyncSession, who: Principal, project: ProjectRow, needed: ProjectRole) -> None:
    """Raises `ProjectRoleTooLow`."""
    role = await role_in(session, who, project)
    if _ORDER.index(role) < _ORDER.index(needed):
        raise ProjectRoleTooLow(
            f"This needs the role {needed} in {project.name!r}; yours is {role}. Ask its owner or an admin of the workspace"
        )


@dataclass(frozen=True)
class PathGuard:
    """Implements `access.publisher.ProjectGuard`. `finders` know, by the name of a path parameter, in which project its thing lies."""

    finders: Mapping[str, ProjectOf]

    async def require(self, session: AsyncSession, who: Principal, path: Mapping[str, Any], *, owner: bool) -> None:
        needed = ProjectRole.OWNER if owner else ProjectRole.EDITOR
        for name, value in path.items():
            identity = _uuid(value)
            if identity is None:
                continue
            finder = self.finders.get(name)
            found = await finder(session, identity) if finder else identity if name == _PROJECT else None
            project = await session.get(ProjectRow, found) if found else None
            if project is not None:
                await require_role(session, who, project, needed)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
