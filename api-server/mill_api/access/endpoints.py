"""The routes of access. `app.py` includes `routers`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, status
from fastapi.security import OAuth2PasswordRequestForm
from mill_contracts.ids import WorkspaceId

from mill_api.access import schemas
from mill_api.access.auth import AuthService
from mill_api.access.dependencies import Parts, SignedIn
from mill_api.access.errors import UserNotFound
from mill_api.access.repository import UserRepository

auth = APIRouter(prefix="/api/v1/auth", tags=["auth"])


def auth_service(parts: Parts) -> AuthService:
    return AuthService(parts.database, parts.system, parts.passwords, parts.tokens, parts.settings.tokens)


Auth = Annotated[AuthService, Depends(auth_service)]


@auth.post("/register", status_code=status.HTTP_201_CREATED)
async def register(wanted: schemas.Registration, service: Auth) -> schemas.User:
    """Make an account and its personal workspace, whose admin you are."""
    return schemas.User.model_validate(await service.register(wanted))


@auth.post("/token")
async def token(
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    service: Auth,
    workspace: Annotated[UUID | None, Form()] = None,
) -> schemas.Tokens:
    """Sign in with username or e-mail address; `workspace` picks one of yours, else it is the personal one."""
    return await service.sign_in(form.username, form.password, WorkspaceId(workspace) if workspace else None)


@auth.post("/refresh")
async def refresh(given: schemas.RefreshToken, service: Auth) -> schemas.Tokens:
    """Swap a refresh token for a new pair, once; `workspace_id` switches the workspace."""
    return await service.refresh(given.refresh_token, WorkspaceId(given.workspace_id) if given.workspace_id else None)


@auth.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(given: schemas.RefreshToken, service: Auth) -> None:
    """End this sign-in and every token that came of it."""
    await service.sign_out(given.refresh_token)


@auth.get("/me")
async def me(who: SignedIn, parts: Parts) -> schemas.Me:
    """Who you are, and in which workspace."""
    async with parts.database.reading(who.workspace_id) as session:
        user = await UserRepository(session).get(who.user_id)
    if user is None:
        raise UserNotFound
    return schemas.Me.of(user, who)


routers = (auth,)
