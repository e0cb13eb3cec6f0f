"""The api-server's own door to predictions: forwards to ml-service with the caller's identity, and keeps a history.

Applications that need speed call ml-service itself; this door is for people, notebooks and the console.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

import httpx
from mill_contracts.tokens import Scope
from mill_kit import trace
from mill_kit.http.request_id import current_request_id
from mill_kit.telemetry import OFF, Kind, Tracer
from sqlalchemy import delete, func, select
from starlette.requests import Request

from mill_api.access.principal import Principal
from mill_api.db import Database, UnitOfWork
from mill_api.deployments.errors import ServingUnavailable
from mill_api.deployments.schemas import PredictionWish
from mill_api.deployments.tables import PredictionRow
from mill_api.models import repository as models
from mill_api.models.errors import ModelNotFound

_FORWARDED = ("authorization", "x-api-key")
_BATCH = 5000


@dataclass(frozen=True)
class PredictionService:
    """`client` has ml-service as its base URL."""

    database: Database
    client: httpx.AsyncClient
    tracer: Tracer = OFF

    async def predict(self, request: Request, wish: PredictionWish, who: Principal) -> PredictionRow:
        """Ask ml-service, write the answer down, whatever it is. Raises `ServingUnavailable` when there is none,
        `ModelNotFound` for an API key that is bound to other models."""
        who.need_scope(Scope.PREDICT)
        await self._require_reach(wish, who)
        begun = time.perf_counter()
        answer = await self._ask(request, wish)
        milliseconds = (time.perf_counter() - begun) * 1000
        output = _json_object(answer)
        row = PredictionRow(
            tenant_id=who.workspace_id,
            model_id=_uuid(output.get("model_id")),
            model=wish.model,
            asked_by=who.user_id,
            request_id=current_request_id(),
            status=answer.status_code,
            milliseconds=milliseconds,
            input=wish.input_data,
            output=output,
        )
        async with self.database.writing(who.workspace_id) as work:
            work.session.add(row)
            await work.session.flush()
            await work.session.refresh(row)
        return row

    async def _require_reach(self, wish: PredictionWish, who: Principal) -> None:
        if not who.models:
            return
        async with self.database.reading(who.workspace_id) as session:
            if not await models.is_one_of(session, who.models, wish.model):
                raise ModelNotFound("The API key is bound to other models")

    async def _ask(self, request: Request, wish: PredictionWish) -> httpx.Response:
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        identity = current_request_id()
        if identity is not None:
            headers["x-request-id"] = identity
        try:
            with self.tracer.step("POST ml-service", Kind.CLIENT) as span:
                return await self.client.post(
                    f"/predict/{quote(wish.model, safe='')}",
                    json=wish.model_dump(exclude={"model"}),
                    headers=headers | trace.logged(span.header),
                )
        except httpx.HTTPError as error:
            raise ServingUnavailable(
                f"The ml-service does not answer ({type(error).__name__}); try again in a moment",
                headers={"Retry-After": "2"},
            ) from None


@dataclass(frozen=True)
class History:
    """How much of a workspace's history is kept: the newest `kept` rows that are younger than `age`."""

    age: timedelta
    kept: int

    async def forget(self, work: UnitOfWork) -> int:
        """Delete some thousands of the rows that are too old or too many."""
        newest = select(PredictionRow.created_at).order_by(PredictionRow.created_at.desc()).offset(self.kept).limit(1)
        last = func.coalesce(newest.scalar_subquery(), func.now() - self.age)
        first = func.greatest(last, func.now() - self.age)
        old = select(PredictionRow.id).where(PredictionRow.created_at <= first).limit(_BATCH)
        gone = await work.session.scalars(
            delete(PredictionRow).where(PredictionRow.id.in_(old)).returning(PredictionRow.id)
        )
        return len(gone.all())


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    """The body, or a problem in its place where a proxy answered in its own way."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        return cast(dict[str, Any], body)
    return {
        "type": "urn:modelmill:problem:serving-unavailable",
        "title": "The ml-service gave no JSON",
        "status": answer.status_code or HTTPStatus.BAD_GATEWAY,
        "detail": f"HTTP {answer.status_code}",
    }


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
