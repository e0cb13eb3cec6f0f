"""Workspaces: making one, renaming it, handing it over. Called by the `/workspaces` endpoints."""

from dataclasses import dataclass

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.tokens import Role

from mill_api.access.audit import audit
from mill_api.access.errors import NotOwner, UserNotFound
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.access.repository import MembershipRepository
from mill_api.access.revocations import distrust_tokens
from mill_api.access.tables import MembershipRow, WorkspaceRow
from mill_api.db import UnitOfWork
from mill_api.db.sessions import acting_in


@dataclass(frozen=True)
class WorkspaceService:
    """The workspace that `who`, one of its admins, is signed in to."""

    work: UnitOfWork
    who: Principal
    publisher: Publisher

    async def rename(self, name: str) -> WorkspaceRow:
        row = await self._get()
        audit(self.work, self.who, "workspace.renamed", "workspace", row.id, before=row.name, after=name)
        row.name = name
        await self.work.session.flush()
        return row

    async def hand_over(self, to: UserId) -> WorkspaceRow:
        """To a member, who becomes an admin. Raises `NotOwner` for anybody but the owner."""
        row = await self._get()
        if row.owner_id not in (self.who.user_id, None):
            raise NotOwner("Only the owner hands a workspace over")
        found = await MembershipRepository(self.work.session).person(to)
        if found is None:
            raise UserNotFound("Nobody with this id is a member of the workspace")
        audit(self.work, self.who, "workspace.handed-over", "workspace", row.id, before=row.owner_id, after=to)
        row.owner_id = to
        if found[0].role != Role.ADMIN.value:
            found[0].role = Role.ADMIN.value
            await distrust_tokens(self.work, self.publisher, to, workspace=self.who.workspace_id)
        await self.work.session.flush()
        return row

    async def _get(self) -> WorkspaceRow:
        return await self.work.session.get_one(WorkspaceRow, self.who.workspace_id, with_for_update=True)


async def create_workspace(work: UnitOfWork, who: Principal, name: str) -> WorkspaceRow:
    """A workspace that `who` owns; a new tenant."""
    workspace = WorkspaceId(new_id())
    row = WorkspaceRow(id=workspace, name=name, owner_id=who.user_id)
    async with acting_in(work, workspace):
        work.session.add(row)
        await work.session.flush()
        work.session.add(MembershipRow(tenant_id=workspace, user_id=who.user_id, role=Role.ADMIN.value))
        there = Principal(who.user_id, workspace, Role.ADMIN, address=who.address)
        audit(work, there, "workspace.created", "workspace", workspace, name=name)
    return row
