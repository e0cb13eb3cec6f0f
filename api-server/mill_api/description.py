"""What `/openapi.json` says beyond the routes: every refusal is a problem document (RFC 9457). Used by `app.py`."""

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from mill_contracts.problems import ProblemDocument
from mill_kit.http.problems import MEDIA_TYPE

from mill_api.queries import only_known_query

_PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {"description": "A problem document (RFC 9457)", "model": ProblemDocument}
}


def add_routes(app: FastAPI, routers: list[APIRouter]) -> FastAPI:
    """Include `routers`, each route with the problems it may answer, and describe them with their real media type."""
    for router in routers:
        app.include_router(router, responses=_PROBLEM, dependencies=[Depends(only_known_query)])
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problem_type(generate())
        return app.openapi_schema

    app.openapi = openapi
    return app


def operation_id(route: APIRoute) -> str:
    """Stable names for generated clients: the tag and the function, `projects_create`."""
    tag = str(route.tags[0]) if route.tags else "service"
    return f"{tag}_{route.name}".replace("-", "_").replace(" ", "_")


def _with_problem_type(document: dict[str, Any]) -> dict[str, Any]:
    for path in document["paths"].values():
        for operation in path.values():
            content = operation["responses"]["default"]["content"]
            content[MEDIA_TYPE] = content.pop("application/json", content.get(MEDIA_TYPE))
    return document
