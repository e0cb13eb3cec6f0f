"""The rules of projects. `require_open_project` is what domains above ask before they put something into one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from mill_contracts.ids import ProjectId
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from mill_api.access.audit import audit
from mill_api.access.principal import Principal
from mill_api.db import UnitOfWork
from mill_api.projects.contents import ProjectContents, count_contents
from mill_api.projects.errors import ProjectArchived, ProjectInUse, ProjectNameTaken, ProjectNotFound
from mill_api.projects.repository import ProjectRepository, locked_project
from mill_api.projects.roles import ProjectRole, require_role
from mill_api.projects.schemas import ProjectChange, ProjectDraft
from mill_api.projects.tables import ProjectRow

_NAMED = 10


@dataclass(frozen=True)
class ProjectService:
    work: UnitOfWork
    who: Principal
    contents: Sequence[ProjectContents]

    async def create(self, draft: ProjectDraft) -> ProjectRow:
        user = self.who.user_id
        row = ProjectRow(tenant_id=self.who.workspace_id, created_by=user, owner_id=user, **draft.model_dump())
        self.work.session.add(row)
        await self._flush(row.name)
        audit(self.work, self.who, "project.created", "project", row.id, name=row.name)
        return row

    async def change(self, project: UUID, wanted: ProjectChange) -> ProjectRow:
        row = await locked_project(self.work.session, project)
        changes = wanted.model_dump(exclude_unset=True, exclude_none=True)
        if "default_role" in changes:
            await require_role(self.work.session, self.who, row, ProjectRole.OWNER)
        before = {field: getattr(row, field) for field in changes}
        for field, value in changes.items():
            setattr(row, field, value)
        await self._flush(row.name)
        audit(self.work, self.who, "project.changed", "project", row.id, before=before, after=changes)
        return row

    async def archive(self, project: UUID, *, archived: bool) -> ProjectRow:
        """An archived project is still there to read; nothing new comes into it. Doing it twice changes nothing."""
        row = await locked_project(self.work.session, project)
        if archived != (row.archived_at is not None):
            row.archived_at = datetime.now(UTC) if archived else None
            await self.work.session.flush()
            audit(self.work, self.who, "project.archived" if archived else "project.unarchived", "project", row.id)
        return row

    async def delete(self, project: UUID, *, force: bool = False) -> tuple[ProjectRow, dict[str, int]]:
        """Delete it with all it holds; returns what that was. Raises `ProjectInUse` for live models, unless by force."""
        row = await locked_project(self.work.session, project)
        await require_role(self.work.session, self.who, row, ProjectRole.OWNER)
        if not force:
            await self._refuse_live(row)
        gone = await count_contents(self.contents, self.work.session, ProjectId(row.id))
        for part in self.contents:
            await part.delete(self.work, self.who, ProjectId(row.id))
        row.deleted_at = datetime.now(UTC)
        await self.work.session.flush()
        audit(self.work, self.who, "project.deleted", "project", row.id, name=row.name, contents=gone)
        return row, gone

    async def _refuse_live(self, row: ProjectRow) -> None:
        live = [name for part in self.contents for name in await part.in_use(self.work.session, ProjectId(row.id))]
        if live:
            shown = ", ".join(repr(name) for name in live[:_NAMED]) + (", ..." if len(live) > _NAMED else "")
            raise ProjectInUse(f"Undeploy {shown} first, or delete the project with ?force=true")

    async def _flush(self, name: str) -> None:
        try:
            await self.work.session.flush()
        except IntegrityError:
            raise ProjectNameTaken(f"There is a project named {name!r} already; choose another name") from None


async def get_project(session: AsyncSession, project: UUID) -> ProjectRow:
    """Raises `ProjectNotFound` for one that is deleted or of another workspace."""
    row = await ProjectRepository(session).get(ProjectId(project))
    if row is None:
        raise ProjectNotFound
    return row


async def require_open_project(session: AsyncSession, project: UUID, who: Principal) -> ProjectRow:
    """The project, held until the transaction ends, for one who may fill it.

    Raises `ProjectNotFound`, `ProjectArchived` for an archived one, `ProjectRoleTooLow` for a mere viewer.
    """
    row = await ProjectRepository(session).get_to_fill(ProjectId(project))
    if row is None:
        raise ProjectNotFound
    await require_role(session, who, row, ProjectRole.EDITOR)
    if row.archived_at is not None:
        raise ProjectArchived(f"Unarchive {row.name!r} first")
    return row
