"""Inviting people into a workspace by a one-time code. Called by the `/invitations` endpoints; `registration` accepts them."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from mill_contracts.ids import UserId

from mill_api.access.audit import audit
from mill_api.access.errors import AlreadyMember, InvitationNotFound
from mill_api.access.principal import Principal
from mill_api.access.recognise import sha256_of
from mill_api.access.repository import InvitationRepository, MembershipRepository, UserRepository
from mill_api.access.schemas import NewInvitation
from mill_api.access.tables import InvitationRow
from mill_api.db import UnitOfWork

_PREFIX = "invite-"


@dataclass(frozen=True)
class InvitationService:
    """No mail is sent: the inviter is shown the code, which only its hash remembers."""

    work: UnitOfWork
    who: Principal

    async def create(self, wanted: NewInvitation) -> tuple[InvitationRow, str]:
        """The row and the code itself; it takes the place of an earlier one for the same address."""
        user = await UserRepository(self.work.session).by_email(wanted.email)
        if user is not None and await MembershipRepository(self.work.session).get(UserId(user.id)) is not None:
            raise AlreadyMember(f"{wanted.email} is a member; change the role instead")
        invitations = InvitationRepository(self.work.session)
        await invitations.revoke_for(wanted.email)
        code = _PREFIX + secrets.token_urlsafe(32)
        row = InvitationRow(
            tenant_id=self.who.workspace_id,
            email=wanted.email,
            role=wanted.role.value,
            sha256=sha256_of(code),
            invited_by=self.who.user_id,
            expires_at=datetime.now(UTC) + timedelta(hours=wanted.expires_in_hours),
        )
        self.work.session.add(row)
        await self.work.session.flush()
        audit(self.work, self.who, "invitation.created", "invitation", row.id, email=wanted.email, role=wanted.role)
        return row, code

    async def revoke(self, invitation: UUID) -> None:
        row = await InvitationRepository(self.work.session).revoke(invitation)
        if row is None:
            raise InvitationNotFound("It was accepted or revoked, has expired, or never was")
        audit(self.work, self.who, "invitation.revoked", "invitation", row.id, email=row.email)
