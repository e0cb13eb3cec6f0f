"""Rows of a new user, as `registration` and `first_admin` make them."""

from mill_contracts.ids import UserId, WorkspaceId, new_id
from mill_contracts.tokens import Role
from sqlalchemy.exc import IntegrityError

from mill_api.access.audit import audit
from mill_api.access.errors import EmailTaken, UsernameTaken
from mill_api.access.principal import Principal
from mill_api.access.schemas import Registration
from mill_api.access.tables import CredentialRow, MembershipRow, UserRow, WorkspaceRow
from mill_api.db import UnitOfWork
from mill_api.db.conflicts import violated_constraint


async def add_user(work: UnitOfWork, wanted: Registration, password_hash: str) -> UserRow:
    """Raises `EmailTaken`, `UsernameTaken`."""
    user = UserRow(id=new_id(), email=wanted.email, username=wanted.username, full_name=wanted.full_name)
    work.session.add(user)
    try:
        await work.session.flush()
    except IntegrityError as error:
        if violated_constraint(error) == "uq_users_username_lower":
            raise UsernameTaken("Choose another username") from None
        raise EmailTaken("Sign in instead, or use another address") from None
    work.session.add(CredentialRow(user_id=user.id, password_hash=password_hash))
    return user


async def add_personal_workspace(work: UnitOfWork, user: UserRow, place: WorkspaceId, address: str | None) -> None:
    work.session.add(WorkspaceRow(id=place, name=user.username, personal=True, owner_id=user.id))
    await work.session.flush()
    work.session.add(MembershipRow(tenant_id=place, user_id=user.id, role=Role.ADMIN.value))
    who = Principal(UserId(user.id), place, Role.ADMIN, address=address)
    audit(work, who, "user.registered", "user", user.id, email=user.email)
