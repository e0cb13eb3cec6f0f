"""Who is what in a project, and who owns it. Called by the endpoints of projects."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from mill_contracts.ids import UserId
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mill_api.access.audit import audit
from mill_api.access.errors import UserNotFound
from mill_api.access.people import PersonName, names_of
from mill_api.access.principal import Principal
from mill_api.access.repository import MembershipRepository
from mill_api.db import UnitOfWork
from mill_api.db.pages import PageRequest, Slice, keyset
from mill_api.db.unit_of_work import ReadSession
from mill_api.projects.errors import NotAProjectMember
from mill_api.projects.repository import locked_project
from mill_api.projects.roles import ProjectRole, require_role
from mill_api.projects.schemas import NamedRole
from mill_api.projects.tables import ProjectMemberRow, ProjectRow


@dataclass(frozen=True)
class ProjectMemberService:
    """For the project's owner, and for admins of the workspace."""

    work: UnitOfWork
    who: Principal

    async def put(self, project: UUID, user: UserId, role: NamedRole) -> tuple[ProjectMemberRow, PersonName]:
        """Name a member of the workspace, or change what they are here. Raises `UserNotFound` for one who is none."""
        row = await self._owned(project)
        person = await self._member(user)
        before = await self._named(row, user)
        values = {"tenant_id": self.who.workspace_id, "project_id": row.id, "user_id": user, "role": role}
        statement = insert(ProjectMemberRow).values(**values)
        changed = statement.on_conflict_do_update(index_elements=["project_id", "user_id"], set_={"role": role})
        named = await self.work.session.scalar(
            changed.returning(ProjectMemberRow), execution_options={"populate_existing": True}
        )
        details = {"user": user, "before": before, "after": role}
        audit(self.work, self.who, "project.member-named", "project", row.id, **details)
        if named is None:
            raise UserNotFound
        return named, person

    async def remove(self, project: UUID, user: UserId) -> None:
        """They have the project's default role again. Raises `NotAProjectMember`."""
        row = await self._owned(project)
        before = await self._named(row, user)
        if before is None:
            raise NotAProjectMember("Nobody with this id is named in the project; others have its default role")
        await self.work.session.execute(
            delete(ProjectMemberRow).where(ProjectMemberRow.project_id == row.id, ProjectMemberRow.user_id == user)
        )
        audit(self.work, self.who, "project.member-removed", "project", row.id, user=user, before=before)

    async def hand_over(self, project: UUID, to: UserId) -> ProjectRow:
        """Make another member of the workspace the owner."""
        row = await self._owned(project)
        await self._member(to)
        audit(self.work, self.who, "project.handed-over", "project", row.id, before=row.owner_id, after=to)
        row.owner_id = to
        await self.work.session.flush()
        return row

    async def _owned(self, project: UUID) -> ProjectRow:
        row = await locked_project(self.work.session, project)
        await require_role(self.work.session, self.who, row, ProjectRole.OWNER)
        return row

    async def _named(self, project: ProjectRow, user: UserId) -> str | None:
        return await self.work.session.scalar(
            select(ProjectMemberRow.role).where(
                ProjectMemberRow.project_id == project.id, ProjectMemberRow.user_id == user
            )
        )

    async def _member(self, user: UserId) -> PersonName:
        if await MembershipRepository(self.work.session).get(user) is None:
            raise UserNotFound("Nobody with this id is a member of the workspace")
        return (await names_of(self.work.session, [user]))[user]


async def named_members(
    session: ReadSession, project: ProjectRow, page: PageRequest
) -> tuple[Slice[ProjectMemberRow], Mapping[UUID, PersonName]]:
    statement = select(ProjectMemberRow).where(ProjectMemberRow.project_id == project.id)
    found = await keyset(session, statement, ProjectMemberRow, page)
    return found, await names_of(session, [row.user_id for row in found.rows])
