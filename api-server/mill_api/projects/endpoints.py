"""The routes of projects."""

from collections.abc import Sequence
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, status
from mill_contracts.ids import ProjectId, UserId

from mill_api.access.dependencies import ProjectEditor, ProjectOwner, Reading, Work
from mill_api.db.pages import Page
from mill_api.db.paging import Paging
from mill_api.once.route import OnceRoute
from mill_api.projects.contents import ProjectContents, count_contents
from mill_api.projects.members import ProjectMemberService, named_members
from mill_api.projects.repository import ProjectFilter, ProjectRepository
from mill_api.projects.schemas import (
    NewProjectOwner,
    Project,
    ProjectChange,
    ProjectDeletion,
    ProjectDraft,
    ProjectMember,
    ProjectMemberRole,
)
from mill_api.projects.service import ProjectService, get_project
from mill_api.texts import Search, Tag

router = APIRouter(prefix="/api/v1/projects", tags=["projects"], route_class=OnceRoute)


class ProjectParts(Protocol):
    @property
    def project_contents(self) -> Sequence[ProjectContents]: ...


def project_parts(request: Request) -> ProjectParts:
    return request.app.state.parts


def project_service(
    work: Work, who: ProjectEditor, parts: Annotated[ProjectParts, Depends(project_parts)]
) -> ProjectService:
    return ProjectService(work, who, parts.project_contents)


def project_member_service(work: Work, who: ProjectOwner) -> ProjectMemberService:
    return ProjectMemberService(work, who)


Projects = Annotated[ProjectService, Depends(project_service)]
Members = Annotated[ProjectMemberService, Depends(project_member_service)]


def project_filter(
    tag: Annotated[Tag | None, Query()] = None,
    archived: Annotated[bool | None, Query(description="true: archived ones only; false: open ones only")] = None,
    text: Annotated[Search | None, Query(description="part of the name or description")] = None,
) -> ProjectFilter:
    return ProjectFilter(tag, archived, text)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create(draft: ProjectDraft, projects: Projects) -> Project:
    """Make a project."""
    return Project.of(await projects.create(draft))


@router.get("")
async def list_projects(
    session: Reading, page: Paging, wanted: Annotated[ProjectFilter, Depends(project_filter)]
) -> Page[Project]:
    """The workspace's projects, newest first."""
    return (await ProjectRepository(session).page(wanted, page)).page(Project.of)


@router.get("/{project_id}")
async def get(project_id: UUID, session: Reading) -> Project:
    """One project."""
    return Project.of(await get_project(session, project_id))


@router.patch("/{project_id}")
async def change(project_id: UUID, wanted: ProjectChange, projects: Projects) -> Project:
    """Change the fields that are given."""
    return Project.of(await projects.change(project_id, wanted))


@router.post("/{project_id}/archive")
async def archive(project_id: UUID, projects: Projects) -> Project:
    """Close a project: it stays readable, and takes nothing new."""
    return Project.of(await projects.archive(project_id, archived=True))


@router.post("/{project_id}/unarchive")
async def unarchive(project_id: UUID, projects: Projects) -> Project:
    """Open an archived project again."""
    return Project.of(await projects.archive(project_id, archived=False))


@router.get("/{project_id}/deletion")
async def preview_deletion(
    project_id: UUID, session: Reading, parts: Annotated[ProjectParts, Depends(project_parts)]
) -> ProjectDeletion:
    """What would go with the project if it were deleted now."""
    row = await get_project(session, project_id)
    contents = await count_contents(parts.project_contents, session, ProjectId(row.id))
    return ProjectDeletion(project_id=row.id, name=row.name, contents=contents)


@router.delete("/{project_id}")
async def delete(
    project_id: UUID,
    projects: Projects,
    force: Annotated[bool, Query(description="true: also when models of it are live; they are undeployed")] = False,
) -> ProjectDeletion:
    """Delete a project and all it holds; the answer says what that was.

    While models of it are live the answer is 409 `project-in-use`, which names them; `force=true` undeploys them.
    """
    row, gone = await projects.delete(project_id, force=force)
    return ProjectDeletion(project_id=row.id, name=row.name, contents=gone)


@router.get("/{project_id}/members")
async def list_members(project_id: UUID, session: Reading, page: Paging) -> Page[ProjectMember]:
    """Who is named in the project; all others have its default role."""
    found, people = await named_members(session, await get_project(session, project_id), page)
    return found.page(lambda row: ProjectMember.of(row, people[row.user_id]))


@router.put("/{project_id}/members/{user_id}")
async def put_member(project_id: UUID, user_id: UUID, wanted: ProjectMemberRole, members: Members) -> ProjectMember:
    """Name a member of the workspace as editor or viewer. For the project's owner and the workspace's admins."""
    return ProjectMember.of(*await members.put(project_id, UserId(user_id), wanted.role))


@router.delete("/{project_id}/members/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_member(project_id: UUID, user_id: UUID, members: Members) -> None:
    """Give somebody the default role again."""
    await members.remove(project_id, UserId(user_id))


@router.put("/{project_id}/owner")
async def hand_over(project_id: UUID, wanted: NewProjectOwner, members: Members) -> Project:
    """Make another member of the workspace the owner."""
    return Project.of(await members.hand_over(project_id, UserId(wanted.user_id)))
