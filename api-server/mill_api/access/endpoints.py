"""The routes of signing in and of people: `auth`, `users`, `workspaces`. `app.py` includes `routers`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, status
from fastapi.security import OAuth2PasswordRequestForm
from mill_contracts.ids import UserId, WorkspaceId
from mill_contracts.tokens import Role

from mill_api.access import key_endpoints, schemas
from mill_api.access.auth import AuthService
from mill_api.access.dependencies import Member, Parts, Reading, SignedIn, Work, WorkspaceAdmin, address_of
from mill_api.access.errors import UserNotFound
from mill_api.access.invitations import InvitationService
from mill_api.access.members import MemberService, ProfileService
from mill_api.access.principal import Principal
from mill_api.access.registration import RegistrationService
from mill_api.access.repository import InvitationRepository, MembershipRepository, UserRepository
from mill_api.access.throttle import Throttle
from mill_api.access.workspaces import WorkspaceService, create_workspace
from mill_api.db.pages import Page
from mill_api.db.paging import Paging
from mill_api.once.route import OnceRoute

auth = APIRouter(prefix="/api/v1/auth", tags=["auth"])
users = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=OnceRoute)
invitations = APIRouter(prefix="/api/v1/invitations", tags=["invitations"], route_class=OnceRoute)
workspaces = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"], route_class=OnceRoute)


def auth_service(parts: Parts) -> AuthService:
    settings = parts.settings.tokens
    throttle = Throttle(parts.cache, settings.attempts_per_minute)
    return AuthService(parts.database, parts.system, parts.passwords, parts.tokens, settings, throttle, parts.publisher)


def registration_service(parts: Parts) -> RegistrationService:
    open_to_all = parts.settings.access.registration == "open"
    return RegistrationService(parts.database, parts.system, parts.passwords, open_to_all)


async def signed_in_admin(who: WorkspaceAdmin) -> Principal:
    who.need_session()
    return who


SignedInAdmin = Annotated[Principal, Depends(signed_in_admin)]


def member_service(work: Work, who: SignedInAdmin, parts: Parts) -> MemberService:
    return MemberService(work, who, parts.publisher)


def invitation_service(work: Work, who: SignedInAdmin) -> InvitationService:
    return InvitationService(work, who)


def workspace_service(work: Work, who: SignedInAdmin, parts: Parts) -> WorkspaceService:
    return WorkspaceService(work, who, parts.publisher)


Auth = Annotated[AuthService, Depends(auth_service)]
Registrations = Annotated[RegistrationService, Depends(registration_service)]
Members = Annotated[MemberService, Depends(member_service)]
Invitations = Annotated[InvitationService, Depends(invitation_service)]
Workspaces = Annotated[WorkspaceService, Depends(workspace_service)]


@auth.post("/register", status_code=status.HTTP_201_CREATED)
async def register(wanted: schemas.Registration, service: Registrations, request: Request) -> schemas.User:
    """Make an account: with an invitation's `code` in the workspace that invited you, else with a personal one, whose admin you are."""
    return schemas.User.model_validate(await service.register(wanted, address_of(request)))


@auth.post("/token")
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    service: Auth,
    request: Request,
    workspace: Annotated[UUID | None, Form()] = None,
) -> schemas.Tokens:
    """Sign in with username or e-mail address; `workspace` picks one of yours, else it is the personal one."""
    place = WorkspaceId(workspace) if workspace else None
    return await service.sign_in(form.username, form.password, place, address_of(request))


@auth.post("/refresh")
async def refresh(given: schemas.RefreshToken, service: Auth) -> schemas.Tokens:
    """Swap a refresh token for a new pair, once; `workspace_id` switches the workspace."""
    return await service.refresh(given.refresh_token, WorkspaceId(given.workspace_id) if given.workspace_id else None)


@auth.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(given: schemas.RefreshToken, service: Auth, request: Request) -> None:
    """End this sign-in and every token that came of it."""
    await service.sign_out(given.refresh_token, address_of(request))


@auth.post("/logout-everywhere", status_code=status.HTTP_204_NO_CONTENT)
async def logout_everywhere(who: SignedIn, service: Auth) -> None:
    """End every sign-in of yours, on every device and in every workspace, this one too. API keys go on."""
    await service.sign_out_everywhere(who)


@auth.get("/me")
async def me(who: SignedIn, session: Reading) -> schemas.Me:
    """Who you are, and in which workspace."""
    return await _me(who, UserRepository(session))


@users.get("/me")
async def my_profile(who: SignedIn, session: Reading) -> schemas.Me:
    """The same as `/api/v1/auth/me`."""
    return await _me(who, UserRepository(session))


@users.patch("/me")
async def change_my_profile(wanted: schemas.ProfileChange, who: SignedIn, work: Work, parts: Parts) -> schemas.Me:
    """Change your name or password; a new password ends every sign-in, this one too."""
    user = await ProfileService(work, who, parts.passwords, parts.publisher).change(wanted)
    return schemas.Me.of(user, who)


@users.get("")
async def list_members(_: Member, session: Reading, page: Paging) -> Page[schemas.Member]:
    """The members of the active workspace."""
    found, people = await MembershipRepository(session).members(page)
    return found.page(lambda row: schemas.Member.of(row, people[row.user_id]))


@users.post("", status_code=status.HTTP_201_CREATED)
async def add_member(wanted: schemas.NewMember, service: Members) -> schemas.Member:
    """Let a registered user into the active workspace."""
    return schemas.Member.of(*await service.add(wanted))


@users.patch("/{user_id}")
async def change_role(user_id: UUID, wanted: schemas.RoleChange, service: Members) -> schemas.Member:
    """Give a member another role."""
    return schemas.Member.of(*await service.change_role(UserId(user_id), wanted.role))


@users.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_member(user_id: UUID, service: Members) -> None:
    """End a membership, with the member's API keys and sign-ins in this workspace."""
    await service.remove(UserId(user_id))


@invitations.get("")
async def list_invitations(_: SignedInAdmin, session: Reading, page: Paging) -> Page[schemas.Invitation]:
    """The invitations that may still be accepted."""
    return (await InvitationRepository(session).page(page)).page(schemas.Invitation.model_validate)


@invitations.post("", status_code=status.HTTP_201_CREATED)
async def invite(wanted: schemas.NewInvitation, service: Invitations) -> schemas.CreatedInvitation:
    """Invite somebody by e-mail address. The code is in this answer, and never shown again: send it to them yourself."""
    row, code = await service.create(wanted)
    return schemas.CreatedInvitation(**schemas.Invitation.model_validate(row).model_dump(), code=code)


@invitations.delete("/{invitation_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_invitation(invitation_id: UUID, service: Invitations) -> None:
    """Take an invitation back that was not accepted yet."""
    await service.revoke(invitation_id)


@invitations.post("/accept")
async def accept_invitation(given: schemas.AcceptedInvitation, who: SignedIn, service: Registrations) -> schemas.Joined:
    """Join the workspace of an invitation to your address; who is not registered sends the code to `/auth/register`."""
    row = await service.accept(given.code, who)
    return schemas.Joined(workspace_id=row.tenant_id, role=Role(row.role))


@workspaces.get("")
async def list_workspaces(who: SignedIn, parts: Parts) -> Page[schemas.Workspace]:
    """The workspaces you are a member of; sign in or refresh with one's id to switch."""
    async with parts.system.reading() as session:
        places = await MembershipRepository(session).of_user(who.user_id)
    return Page(items=[schemas.Workspace.of(place, membership.role) for membership, place in places], next_cursor=None)


@workspaces.post("", status_code=status.HTTP_201_CREATED)
async def make_workspace(wanted: schemas.NewWorkspace, who: SignedIn, work: Work) -> schemas.Workspace:
    """Make a workspace, which you own."""
    return schemas.Workspace.of(await create_workspace(work, who, wanted.name), Role.ADMIN)


@workspaces.patch("/current")
async def rename_workspace(wanted: schemas.NewWorkspace, service: Workspaces, who: SignedInAdmin) -> schemas.Workspace:
    """Rename the workspace you are signed in to."""
    return schemas.Workspace.of(await service.rename(wanted.name), who.role)


@workspaces.put("/current/owner")
async def hand_over(wanted: schemas.NewOwner, service: Workspaces, who: SignedInAdmin) -> schemas.Workspace:
    """Hand the workspace you own over to a member, who becomes an admin; you stay one."""
    return schemas.Workspace.of(await service.hand_over(UserId(wanted.user_id)), who.role)


async def _me(who: Principal, people: UserRepository) -> schemas.Me:
    user = await people.get(who.user_id)
    if user is None:
        raise UserNotFound
    return schemas.Me.of(user, who)


routers = (auth, users, invitations, workspaces, *key_endpoints.routers)
