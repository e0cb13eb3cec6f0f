"""What the endpoints of the FastAPI app are given."""

from typing import Annotated

from fastapi import Depends, Request

from mill_serving.doors.http import RequestIds, read_head
from mill_serving.engine import Engine


def engine_of(request: Request) -> Engine:
    return request.app.state.engine


def secret_of(request: Request) -> str | None:
    return read_head(request.scope, RequestIds()).secret


TheEngine = Annotated[Engine, Depends(engine_of)]
Secret = Annotated[str | None, Depends(secret_of)]
