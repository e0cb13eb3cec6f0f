"""What an endpoint of any domain asks for: who is there (`Me`, `ProjectEditor`, `WorkspaceAdmin`), `Work`, `Reading`,
`Paging`.

`Work` commits before the answer is sent. An API key needs the scope `read` for `Reading` and `write` for `Work`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer
from mill_contracts.tokens import API_KEY_PREFIX, Role, Scope
from redis.asyncio import Redis

from mill_api.access.errors import SignInFirst
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal
from mill_api.access.publisher import Publisher
from mill_api.access.recognise import current_role, principal_of_key
from mill_api.access.tokens import TokenSigner
from mill_api.db import Database, ReadSession, UnitOfWork
from mill_api.db.paging import Paging as Paging  # what endpoints ask for is found in one place
from mill_api.settings import Settings

_bearer = OAuth2PasswordBearer("/api/v1/auth/token", auto_error=False, description="An access token, or an API key")
_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key (`mm_…`)")


class AccessParts(Protocol):
    """What access uses of the parts that `create_app` puts into `app.state.parts`."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def system(self) -> Database: ...
    @property
    def cache(self) -> Redis: ...
    @property
    def tokens(self) -> TokenSigner: ...
    @property
    def passwords(self) -> Passwords: ...
    @property
    def publisher(self) -> Publisher: ...


def access_parts(request: Request) -> AccessParts:
    return request.app.state.parts


Parts = Annotated[AccessParts, Depends(access_parts)]


async def me(
    parts: Parts,
    bearer: Annotated[str | None, Depends(_bearer)],
    key: Annotated[str | None, Depends(_key_header)],
) -> Principal:
    """Whoever sent this request, or 401."""
    secret = key or bearer
    if not secret:
        raise SignInFirst
    if secret.startswith(API_KEY_PREFIX):
        return await principal_of_key(parts.database, parts.system, secret)
    return parts.tokens.read(secret)


Me = Annotated[Principal, Depends(me)]


def require(role: Role) -> Callable[[Principal, AccessParts], Awaitable[Principal]]:
    """A dependency: `Me` with at least `role`, by what the database says now (a token may be minutes old)."""

    async def check(me: Me, parts: Parts) -> Principal:
        principal = await current_role(parts.database, me)
        principal.need_role(role)
        return principal

    return check


def signed_in(me: Me) -> Principal:
    me.need_session()
    return me


Member = Annotated[Principal, Depends(require(Role.USER))]
ProjectEditor = Annotated[Principal, Depends(require(Role.DATA_SCIENTIST))]
WorkspaceAdmin = Annotated[Principal, Depends(require(Role.ADMIN))]
SignedIn = Annotated[Principal, Depends(signed_in)]


async def unit_of_work(me: Me, parts: Parts) -> AsyncGenerator[UnitOfWork]:
    me.need_scope(Scope.WRITE)
    async with parts.database.writing(me.workspace_id) as work:
        yield work


async def read_session(me: Me, parts: Parts) -> AsyncGenerator[ReadSession]:
    me.need_scope(Scope.READ)
    async with parts.database.reading(me.workspace_id) as session:
        yield session


Work = Annotated[UnitOfWork, Depends(unit_of_work, scope="function")]
Reading = Annotated[ReadSession, Depends(read_session, scope="function")]
