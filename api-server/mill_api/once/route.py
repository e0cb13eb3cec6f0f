"""The route class of every router that creates something: it keeps the answer of a request that brought an Idempotency-Key."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from mill_api.once.errors import Replay
from mill_api.once.service import Claim


class OnceRoute(APIRoute):
    """The handler returns before FastAPI ends the dependencies: the transaction that does the work is still open here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            response = await handle(request)
            claim: Claim | None = getattr(request.state, "once", None)
            if claim is not None and response.status_code < 300:
                await claim.keep(response.status_code, bytes(response.body))
            return response

        return once


def replayed(replay: Replay) -> Response:
    """The answer as it was, marked."""
    return Response(
        replay.body,
        status_code=replay.status,
        media_type="application/json" if replay.body else None,
        headers={"Idempotency-Replayed": "true"},
    )
