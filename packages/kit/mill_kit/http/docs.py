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

from mill_kit.problems import NotFound

_BUNDLE, _STYLE, _ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"
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
<script>
SwaggerUIBundle({options});
</script>
</body>
</html>
"""


def docs_routes(title: str, openapi_url: str = "/openapi.json") -> list[Route]:
    """The page and its files; for a FastAPI app made with `docs_url=None, redoc_url=None`."""
    folder = Path(str(distribution("fastapi-swagger").locate_file("fastapi_swagger/resources")))

    async def page(request: Request) -> Response:
        root = str(request.scope.get("root_path", "")).rstrip("/")
        return HTMLResponse(_page(title, root, openapi_url))

    async def asset(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in _ASSETS:
            raise NotFound("the page at /docs has no such file")
        return FileResponse(folder / name, media_type=_ASSETS[name], headers=_CACHING)

    return [Route("/docs", page, name="docs"), Route("/docs/assets/{name}", asset, name="docs_asset")]


def _page(title: str, root: str, openapi_url: str) -> str:
    options = {
        "url": root + openapi_url,
        "dom_id": "#swagger-ui",
        "deepLinking": True,
        "displayRequestDuration": True,
        "validatorUrl": None,  # by default Swagger UI shows a badge from its makers' server
    }
    return _PAGE.format(
        title=html.escape(title),
        assets=html.escape(f"{root}/docs/assets"),
        icon=_ICON,
        style=_STYLE,
        bundle=_BUNDLE,
        options=json.dumps(options).replace("<", "\\u003c"),
    )
