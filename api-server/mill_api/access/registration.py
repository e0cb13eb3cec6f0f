"""Coming in for the first time: registering, with or without a code, and accepting an invitation as somebody who is registered.

Called by `/api/v1/auth/register` and `/api/v1/invitations/accept`. New users have no tenant yet, so these open their own transactions.
"""

from dataclasses import dataclass

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.tokens import Role
from sqlalchemy.exc import IntegrityError

from mill_api.access import first_admin
from mill_api.access.accounts import add_personal_workspace, add_user
from mill_api.access.audit import audit
from mill_api.access.errors import AlreadyMember, InvalidCode, OtherAddress, RegistrationClosed, UserNotFound
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal
from mill_api.access.recognise import sha256_of
from mill_api.access.repository import InvitationRepository, UserRepository
from mill_api.access.schemas import Registration
from mill_api.access.tables import InvitationRow, MembershipRow, UserRow
from mill_api.db import Database, UnitOfWork


@dataclass(frozen=True)
class RegistrationService:
    database: Database
    system: Database
    passwords: Passwords
    open_to_all: bool

    async def register(self, wanted: Registration, address: str | None) -> UserRow:
        """An invited user in the workspace that invited them, anybody else in a personal one whose admin they are."""
        invitation = await self._invitation(wanted.code) if wanted.code else None
        if invitation is not None and invitation.email != wanted.email:
            raise OtherAddress("Register with the e-mail address that was invited")
        if wanted.code is None and not self.open_to_all:
            raise RegistrationClosed(
                "Ask an admin of a workspace to invite you, and register with the invitation's code"
            )
        self.passwords.require_good(wanted.password.get_secret_value(), (wanted.username, wanted.email))
        hashed = await self.passwords.hash(wanted.password.get_secret_value())
        place = WorkspaceId(invitation.tenant_id if invitation else new_id())
        async with self.database.writing(place) as work:
            if wanted.code and invitation is None:
                await first_admin.use_code(work, wanted.code)
            user = await add_user(work, wanted, hashed)
            if invitation is not None:
                await _join(work, invitation, user, address)
            else:
                await add_personal_workspace(work, user, place, address)
        return user

    async def accept(self, code: str, who: Principal) -> InvitationRow:
        """Join the workspace of an invitation as the registered user who is signed in."""
        invitation = await self._invitation(code)
        if invitation is None:
            raise InvalidCode("Ask for a new invitation")
        async with self.database.writing(WorkspaceId(invitation.tenant_id)) as work:
            user = await UserRepository(work.session).get(who.user_id)
            if user is None:
                raise UserNotFound
            if user.email != invitation.email:
                raise OtherAddress("Sign in with the e-mail address that was invited")
            await _join(work, invitation, user, who.address)
        return invitation

    async def _invitation(self, code: str) -> InvitationRow | None:
        async with self.system.reading() as session:
            return await InvitationRepository(session).by_code(sha256_of(code))


async def _join(work: UnitOfWork, invitation: InvitationRow, user: UserRow, address: str | None) -> None:
    if not await InvitationRepository(work.session).accept(invitation.id, user.id):
        raise InvalidCode("The invitation was used, revoked or has expired; ask for a new one")
    work.session.add(MembershipRow(tenant_id=invitation.tenant_id, user_id=user.id, role=invitation.role))
    try:
        await work.session.flush()
    except IntegrityError:
        raise AlreadyMember("You are a member of this workspace already") from None
    who = Principal(UserId(user.id), WorkspaceId(invitation.tenant_id), Role(invitation.role), address=address)
    audit(work, who, "invitation.accepted", "invitation", invitation.id, email=invitation.email, role=invitation.role)
