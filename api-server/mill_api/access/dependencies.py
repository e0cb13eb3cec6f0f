"""What an endpoint of any domain asks for: who is there (`Me`, `ProjectEditor`, `WorkspaceAdmin`), `Work`, `Reading`,
`Paging`.

`Work` commits before the answer is sent. An API key needs the scope `read` for `Reading` and `write` for `Work`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer
from mill_contracts.tokens import API_KEY_PREFIX, Role, Scope
from redis.asyncio import Redis

from mill_api.access.audit import audit
from mill_api.access.caller import tell_edge
from mill_api.access.errors import SignInFirst
from mill_api.access.known_keys import KnownKeys
from mill_api.access.passwords import Passwords
from mill_api.access.principal import Principal, includes
from mill_api.access.publisher import KnownModels, ModelGuard, ProjectGuard, Publisher
from mill_api.access.recognise import as_of_now
from mill_api.access.tokens import TokenSigner
from mill_api.db import Database, ReadSession, UnitOfWork
from mill_api.db.paging import Paging as Paging  # what endpoints ask for is found in one place
from mill_api.once.errors import Replay
from mill_api.once.seal import Seal
from mill_api.once.service import Asker, ClaimUpload, claim
from mill_api.quotas.service import Quota, Quotas, exceeded
from mill_api.settings import Settings

_FORM_BYTES = 2**20
"""What a multipart body may hold beside its file."""

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
    def keys(self) -> KnownKeys: ...
    @property
    def publisher(self) -> Publisher: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def projects(self) -> ProjectGuard: ...
    @property
    def known_models(self) -> KnownModels: ...
    @property
    def model_reach(self) -> ModelGuard: ...


def access_parts(request: Request) -> AccessParts:
    return request.app.state.parts


Parts = Annotated[AccessParts, Depends(access_parts)]


def address_of(request: Request) -> str | None:
    """Where the request came from: the client's address, as the trusted proxies tell it."""
    return request.client.host if request.client else None


async def me(
    request: Request,
    parts: Parts,
    bearer: Annotated[str | None, Depends(_bearer)],
    key: Annotated[str | None, Depends(_key_header)],
) -> Principal:
    """Whoever sent this request, or 401; 404 for an API key that is bound to other models than the path leads to."""
    secret = key or bearer
    if not secret:
        raise SignInFirst
    if secret.startswith(API_KEY_PREFIX):
        principal = await parts.keys.principal(secret)
        tell_edge(request.scope, principal)
        if principal.models and request.path_params:
            async with parts.database.reading(principal.workspace_id) as session:
                await parts.model_reach.require(session, principal, request.path_params)
    else:
        principal = await as_of_now(parts.database, parts.tokens.read(secret))
    return replace(principal, address=address_of(request))


Me = Annotated[Principal, Depends(me)]


def require(role: Role) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency: `Me` with at least `role` in the workspace."""

    async def check(me: Me) -> Principal:
        me.need_role(role)
        return me

    return check


def in_project(*, owner: bool) -> Callable[[Request, Principal, AccessParts], Awaitable[Principal]]:
    """A dependency: a data scientist who is an editor, or the owner, of the project that what the path names lies in."""

    async def check(request: Request, me: Me, parts: Parts) -> Principal:
        me.need_role(Role.DATA_SCIENTIST)
        if not includes(me.role, Role.ADMIN):
            async with parts.database.reading(me.workspace_id) as session:
                await parts.projects.require(session, me, request.path_params, owner=owner)
        return me

    return check


async def signed_in(me: Me) -> Principal:
    me.need_session()
    return me


async def predictor(me: Me) -> Principal:
    """Whoever may predict: any member, or a key with the scope."""
    me.need_scope(Scope.PREDICT)
    return me


Predictor = Annotated[Principal, Depends(predictor)]
Member = Annotated[Principal, Depends(require(Role.USER))]
ProjectEditor = Annotated[Principal, Depends(in_project(owner=False))]
ProjectOwner = Annotated[Principal, Depends(in_project(owner=True))]
WorkspaceAdmin = Annotated[Principal, Depends(require(Role.ADMIN))]
SignedIn = Annotated[Principal, Depends(signed_in)]


def working(
    scope: Scope, *, streamed: bool = False
) -> Callable[[Request, Principal, AccessParts], AsyncGenerator[UnitOfWork]]:
    """A dependency: the request's transaction, for whoever has `scope`. A `streamed` body is claimed by its endpoint."""

    async def unit_of_work(request: Request, me: Me, parts: Parts) -> AsyncGenerator[UnitOfWork]:
        me.need_scope(scope)
        async with parts.database.writing(me.workspace_id) as work:
            if request.method == "POST" and not streamed:
                try:
                    await _asked_once(request, work, me, parts)
                except Replay as known:
                    request.state.replay = known  # `OnceRoute` gives it when all checks of the route are passed
            yield work
            if not work.audited:
                _note_request(work, me, request)

    return unit_of_work


def _note_request(work: UnitOfWork, me: Principal, request: Request) -> None:
    """A change that wrote no line of its own leaves one all the same: the route and the ids in its path."""
    named = {name: str(value) for name, value in request.path_params.items()}
    subject, identity = next(reversed(named.items()), ("workspace_id", str(me.workspace_id)))
    what = request.scope["route"]
    action = f"{str(what.tags[0]).replace(' ', '-')}.{what.name.replace('_', '-')}"
    audit(work, me, action, subject.removesuffix("_id"), identity, **named)


async def _asked_once(
    request: Request, work: UnitOfWork, me: Principal, parts: AccessParts, content: str | None = None
) -> None:
    await claim(request, work, Asker(me.workspace_id, me.user_id, me.key_id), Seal(parts.tokens.key), content)


async def upload_claim(request: Request, me: Me, parts: Parts) -> ClaimUpload:
    """For an endpoint that streams a file: once all has come, claim its place in the quota and the request's Idempotency-Key.

    What is announced as too large is refused before it is sent.
    """
    announced = request.headers.get("content-length", "")
    async with parts.database.reading(me.workspace_id) as session:
        room = await parts.quotas.room(session, Quota.BYTES)
        if room is not None and announced.isdigit() and int(announced) > room + _FORM_BYTES:
            raise exceeded(Quota.BYTES, (await parts.quotas.limits(session))[Quota.BYTES])

    async def claim_upload(work: UnitOfWork, content: str, size: int) -> None:
        await _asked_once(request, work, me, parts, content)
        await parts.quotas.require(work, me.workspace_id, Quota.BYTES, size)

    return claim_upload


Work = Annotated[UnitOfWork, Depends(working(Scope.WRITE), scope="function")]


async def model_quota(work: Work, me: Me, parts: Parts) -> AsyncGenerator[None]:
    """For an endpoint that may make a model: counted when it has, in its transaction, before the commit."""
    yield
    await parts.quotas.require(work, me.workspace_id, Quota.MODELS)


async def read_session(me: Me, parts: Parts) -> AsyncGenerator[ReadSession]:
    me.need_scope(Scope.READ)
    async with parts.database.reading(me.workspace_id) as session:
        yield session


ModelQuota = Depends(model_quota, scope="function")
UploadWork = Annotated[UnitOfWork, Depends(working(Scope.WRITE, streamed=True), scope="function")]
PredictingWork = Annotated[UnitOfWork, Depends(working(Scope.PREDICT), scope="function")]
PredictingUploadWork = Annotated[UnitOfWork, Depends(working(Scope.PREDICT, streamed=True), scope="function")]
UploadClaim = Annotated[ClaimUpload, Depends(upload_claim)]
Reading = Annotated[ReadSession, Depends(read_session, scope="function")]
