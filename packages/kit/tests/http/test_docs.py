"""The description of a service is shown without the internet."""

import re

import httpx
import pytest
from fastapi import FastAPI
from mill_kit.http import problems
from mill_kit.http.docs import docs_routes
from mill_kit.http.metrics import MetricsMiddleware, RequestMetrics
from prometheus_client import CollectorRegistry

NAMED = re.compile(r"(?:src|href)=\"([^\"]+)\"")


@pytest.fixture
def app() -> FastAPI:
    metrics = RequestMetrics(CollectorRegistry())
    app = FastAPI(title="Test", docs_url=None, redoc_url=None)
    app.router.routes.extend([*docs_routes("A <title>"), metrics.route()])
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    problems.install(app)
    return app


def asking(app: FastAPI, root_path: str = "") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path=root_path), base_url="http://test")


async def test_the_page_and_every_file_it_names_come_from_the_service(app: FastAPI) -> None:
    async with asking(app) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "http://" not in page.text
        assert "https://" not in page.text
        named = NAMED.findall(page.text)
        assert len(named) == 4
        for path in named:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.content
            if path.endswith(".css"):
                assert not re.search(r"url\([\"']?(https?:)?//|@import", answer.text)
        assert (await client.get("/openapi.json")).status_code == 200
    assert "A &lt;title&gt;" in page.text


async def test_behind_a_prefix_the_page_names_its_files_there(app: FastAPI) -> None:
    async with asking(app, root_path="/inner") as client:
        page = await client.get("/inner/docs")
        start = await client.get("/inner/docs/assets/start.js")
    assert 'src="/inner/docs/assets/swagger-ui-bundle.js"' in page.text
    assert '"url": "/inner/openapi.json"' in start.text


async def test_the_page_runs_no_inline_script_and_its_policy_allows_none(app: FastAPI) -> None:
    async with asking(app) as client:
        page = await client.get("/docs")
    assert re.findall(r"<script(?![^>]*src=)", page.text) == []
    assert "script-src 'self';" in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2Fmain.py"])
async def test_no_other_file_is_given(app: FastAPI, name: str) -> None:
    async with asking(app) as client:
        assert (await client.get(f"/docs/assets/{name}")).status_code == 404


async def test_plain_routes_of_a_fastapi_application_are_counted_by_their_template(app: FastAPI) -> None:
    async with asking(app) as client:
        for path in ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json", "/metrics", "/nowhere"):
            await client.get(path)
        text = (await client.get("/metrics")).text
    counted = re.findall(r'http_requests_total\{method="GET",route="([^"]+)"', text)
    assert sorted(counted) == ["/docs", "/docs/assets/{name}", "/metrics", "/openapi.json", "unmatched"]
