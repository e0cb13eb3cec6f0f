"""The route class of every router that creates something: it keeps the answer of a request that brought an Idempotency-Key."""

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from mill_api.once.errors import Replay
from mill_api.once.service import Claim

Endpoint = Callable[..., Coroutine[Any, Any, Any]]
_asked: ContextVar[Request] = ContextVar("asked")


class OnceRoute(APIRoute):
    """The handler returns before FastAPI ends the dependencies: the transaction that does the work is still open here.

    An answer that was kept (`state.replay`) stands in for the endpoint alone: whom a dependency refuses does not get it.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, _unless_known(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            before = _asked.set(request)
            try:
                response = await handle(request)
            finally:
                _asked.reset(before)
            claim: Claim | None = getattr(request.state, "once", None)
            if claim is not None and response.status_code < 300:
                await claim.keep(response.status_code, bytes(response.body))
            return response

        return once


def _unless_known(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(*args: Any, **values: Any) -> Any:
        known: Replay | None = getattr(_asked.get().state, "replay", None)
        if known is not None:
            raise known
        return await endpoint(*args, **values)

    return answer


def replayed(replay: Replay) -> Response:
    """The answer as it was, marked."""
    return Response(
        replay.body,
        status_code=replay.status,
        media_type="application/json" if replay.body else None,
        headers={"Idempotency-Replayed": "true"},
    )
