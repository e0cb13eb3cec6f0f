"""The routes of access. `app.py` includes `routers`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, status
from fastapi.security import OAuth2PasswordRequestForm
from mill_contracts.ids import KeyId, UserId, WorkspaceId
from mill_contracts.tokens import Role

from mill_api.access import schemas
from mill_api.access.auth import AuthService
from mill_api.access.dependencies import Member, Parts, Reading, SignedIn, Work, WorkspaceAdmin
from mill_api.access.errors import UserNotFound
from mill_api.access.keys import KeyService
from mill_api.access.members import MemberService, ProfileService, create_workspace
from mill_api.access.principal import Principal, includes
from mill_api.access.repository import KeyRepository, MembershipRepository, UserRepository
from mill_api.access.throttle import Throttle
from mill_api.db.pages import Page
from mill_api.db.paging import Paging

auth = APIRouter(prefix="/api/v1/auth", tags=["auth"])
users = APIRouter(prefix="/api/v1/users", tags=["users"])
workspaces = APIRouter(prefix="/api/v1/workspaces", tags=["workspaces"])
keys = APIRouter(prefix="/api/v1/api-keys", tags=["api-keys"])


def auth_service(parts: Parts) -> AuthService:
    throttle = Throttle(parts.cache, parts.settings.tokens.attempts_per_minute)
    return AuthService(parts.database, parts.system, parts.passwords, parts.tokens, parts.settings.tokens, throttle)


def member_service(work: Work, who: WorkspaceAdmin, parts: Parts) -> MemberService:
    who.need_session()
    return MemberService(work, who, parts.publisher)


def key_service(work: Work, who: Member, parts: Parts) -> KeyService:
    who.need_session()
    return KeyService(work, who, parts.publisher)


Auth = Annotated[AuthService, Depends(auth_service)]
Members = Annotated[MemberService, Depends(member_service)]
Keys = Annotated[KeyService, Depends(key_service)]


@auth.post("/register", status_code=status.HTTP_201_CREATED)
async def register(wanted: schemas.Registration, service: Auth) -> schemas.User:
    """Make an account and its personal workspace, whose admin you are."""
    return schemas.User.model_validate(await service.register(wanted))


@auth.post("/token")
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    service: Auth,
    request: Request,
    workspace: Annotated[UUID | None, Form()] = None,
) -> schemas.Tokens:
    """Sign in with username or e-mail address; `workspace` picks one of yours, else it is the personal one."""
    place = WorkspaceId(workspace) if workspace else None
    return await service.sign_in(form.username, form.password, place, request.client.host if request.client else "")


@auth.post("/refresh")
async def refresh(given: schemas.RefreshToken, service: Auth) -> schemas.Tokens:
    """Swap a refresh token for a new pair, once; `workspace_id` switches the workspace."""
    return await service.refresh(given.refresh_token, WorkspaceId(given.workspace_id) if given.workspace_id else None)


@auth.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(given: schemas.RefreshToken, service: Auth) -> None:
    """End this sign-in and every token that came of it."""
    await service.sign_out(given.refresh_token)


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
    """Change your name or password; a new password ends all other sign-ins."""
    user = await ProfileService(work, who, parts.passwords).change(wanted)
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


@workspaces.get("")
async def list_workspaces(who: SignedIn, parts: Parts) -> Page[schemas.Workspace]:
    """The workspaces you are a member of; sign in or refresh with one's id to switch."""
    async with parts.system.reading() as session:
        places = await MembershipRepository(session).of_user(who.user_id)
    return Page(items=[schemas.Workspace.of(place, membership.role) for membership, place in places], next_cursor=None)


@workspaces.post("", status_code=status.HTTP_201_CREATED)
async def make_workspace(wanted: schemas.NewWorkspace, who: SignedIn, parts: Parts) -> schemas.Workspace:
    """Make a workspace whose admin you are."""
    return schemas.Workspace.of(await create_workspace(parts.database, who, wanted.name), Role.ADMIN)


@keys.get("")
async def list_keys(who: Member, session: Reading, page: Paging) -> Page[schemas.ApiKey]:
    """Your API keys; an admin sees all of the workspace."""
    owner = None if includes(who.role, Role.ADMIN) else who.user_id
    found = await KeyRepository(session).page(page, owner=owner)
    return found.page(schemas.ApiKey.model_validate)


@keys.post("", status_code=status.HTTP_201_CREATED)
async def create_key(wanted: schemas.NewApiKey, service: Keys) -> schemas.CreatedApiKey:
    """Make an API key. It is in this answer, and never shown again."""
    row, key = await service.create(wanted)
    return schemas.CreatedApiKey(**schemas.ApiKey.model_validate(row).model_dump(), key=key)


@keys.delete("/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_key(key_id: UUID, service: Keys) -> None:
    """Make a key worthless at once."""
    await service.revoke(KeyId(key_id))


async def _me(who: Principal, people: UserRepository) -> schemas.Me:
    user = await people.get(who.user_id)
    if user is None:
        raise UserNotFound
    return schemas.Me.of(user, who)


routers = (auth, users, workspaces, keys)
