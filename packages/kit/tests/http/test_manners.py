"""Problems, request ids, slashes, health and metrics of a small Starlette application."""

from collections.abc import AsyncIterator

import httpx
import pytest
from mill_kit.http import problems
from mill_kit.http.health import Health
from mill_kit.http.metrics import MetricsMiddleware, RequestMetrics
from mill_kit.http.request_id import RequestIdMiddleware
from mill_kit.http.slashes import TrailingSlashMiddleware
from mill_kit.http.unforeseen import Unforeseen
from mill_kit.problems import Unavailable
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def _hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def _away(_request: Request) -> Response:
    raise Unavailable("come back", headers={"Retry-After": "3"})


async def _broken(_request: Request) -> Response:
    raise ZeroDivisionError("secret inside")


async def _passes() -> None:
    return None


async def _fails() -> None:
    raise ConnectionError("no route to 10.0.0.1")


@pytest.fixture
def health() -> Health:
    return Health("test", "1.0", required={"database": _passes}, started=True)


@pytest.fixture
async def client(health: Health) -> AsyncIterator[httpx.AsyncClient]:
    metrics = RequestMetrics(CollectorRegistry())
    app = Starlette(
        routes=[
            Route("/hello", _hello),
            Route("/away", _away),
            Route("/broken", _broken),
            metrics.route(),
            *health.routes(),
        ],
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(MetricsMiddleware, metrics=metrics),
            Middleware(TrailingSlashMiddleware),
            Middleware(Unforeseen),
        ],
    )
    problems.install(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_problem_keeps_its_status_headers_and_request_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/away", headers={"X-Request-ID": "request-0001"})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "request-0001"
    assert answer.json()["type"] == "urn:modelmill:problem:unavailable"


async def test_an_unknown_error_tells_nothing_of_the_inside(client: httpx.AsyncClient) -> None:
    answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "secret" not in answer.text
    assert answer.json()["type"] == "urn:modelmill:problem:internal"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [("GET", "/nowhere", 404, "no such address"), ("POST", "/hello", 405, "it takes ")],
)
async def test_routing_errors_are_problems_too_and_say_what_to_do(
    client: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    answer = await client.request(method, path)
    assert answer.json()["status"] == answer.status_code == status
    assert words in answer.json()["detail"]
    assert "/docs" in answer.json()["detail"]


@pytest.mark.parametrize("given", ["short", "has space in it", "x" * 65, "a\tb-control"])
async def test_a_request_id_that_is_not_well_formed_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/hello", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_trailing_slash_makes_no_difference(client: httpx.AsyncClient) -> None:
    assert (await client.get("/hello/")).text == (await client.get("/hello")).text == "hello"


async def test_an_unknown_error_is_counted_by_its_route(client: httpx.AsyncClient) -> None:
    await client.get("/broken")
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/broken",status="500"} 1.0' in text


async def test_metrics_are_labelled_by_route_never_by_path(client: httpx.AsyncClient) -> None:
    await client.get("/hello")
    await client.get("/nowhere/123456")
    text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/hello",status="200"} 1.0' in text
    assert 'route="unmatched",status="404"' in text
    assert "123456" not in text
    assert "http_request_duration_seconds_bucket" in text


async def test_readiness_follows_the_required_checks(client: httpx.AsyncClient, health: Health) -> None:
    assert (await client.get("/health/ready")).status_code == 200
    health.required = {"database": _fails}
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/live")).status_code == 200
    detailed = await client.get("/health/detailed")
    assert detailed.json()["checks"] == {"database": "failed: ConnectionError"}
    assert "10.0.0.1" not in detailed.text


async def test_an_optional_part_that_is_away_degrades_only(client: httpx.AsyncClient, health: Health) -> None:
    health.optional = {"cache": _fails}
    answer = await client.get("/health/detailed")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


async def test_a_draining_service_is_not_ready(client: httpx.AsyncClient, health: Health) -> None:
    health.draining = True
    assert (await client.get("/health/ready")).status_code == 503
