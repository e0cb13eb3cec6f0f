"""`/docs` of every service: Swagger UI, its files served by the service itself, so that it works without the internet."""

import html
import json
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from mill_kit.http.security import PAGE_POLICY
from mill_kit.problems import NotFound

_BUNDLE, _STYLE, _ICON, _START = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "start.js"
_ASSETS: Mapping[str, str] = MappingProxyType({_BUNDLE: "text/javascript", _STYLE: "text/css", _ICON: "image/png"})
_CACHING = {"cache-control": "public, max-age=86400"}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="{assets}/{icon}">
<link rel="stylesheet" href="{assets}/{style}">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{assets}/{bundle}"></script>
<script src="{assets}/{start}"></script>
</body>
</html>
"""


def docs_routes(title: str, openapi_url: str = "/openapi.json") -> list[Route]:
    """The page and its files; for a FastAPI app made with `docs_url=None, redoc_url=None`."""
    folder = Path(str(distribution("fastapi-swagger").locate_file("fastapi_swagger/resources")))

    async def page(request: Request) -> Response:
        return HTMLResponse(_page(title, _root(request)), headers={"content-security-policy": PAGE_POLICY})

    async def asset(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name == _START:
            return Response(_start(_root(request), openapi_url), media_type="text/javascript")
        if name not in _ASSETS:
            raise NotFound("the page at /docs has no such file")
        return FileResponse(folder / name, media_type=_ASSETS[name], headers=_CACHING)

    return [Route("/docs", page, name="docs"), Route("/docs/assets/{name}", asset, name="docs_asset")]


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _start(root: str, openapi_url: str) -> str:
    """A file of its own: the page's policy lets no inline script run."""
    options = {
        "url": root + openapi_url,
        "dom_id": "#swagger-ui",
        "deepLinking": True,
        "displayRequestDuration": True,
        "validatorUrl": None,  # by default Swagger UI shows a badge from its makers' server
    }
    return f"SwaggerUIBundle({json.dumps(options)});\n"


def _page(title: str, root: str) -> str:
    return _PAGE.format(
        title=html.escape(title),
        assets=html.escape(f"{root}/docs/assets"),
        icon=_ICON,
        style=_STYLE,
        bundle=_BUNDLE,
        start=_START,
    )
