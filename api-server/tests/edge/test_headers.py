"""Security headers and CORS on every kind of answer."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from httpx import AsyncClient
from mill_api.testing import Person
from mill_kit.http.security import HEADERS

MakeClient = Callable[..., AbstractAsyncContextManager[AsyncClient]]
CONSOLE = "https://console.example.com"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/projects"),
        ("GET", "/nothing"),
        ("POST", "/api/v1/projects"),
        ("OPTIONS", "/api/v1/projects"),
        ("GET", "/openapi.json"),
    ],
)
async def test_every_answer_carries_the_security_headers(client: AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
    assert "strict-transport-security" not in answer.headers


async def test_a_body_that_is_too_large_and_an_error_carry_them_too(client: AsyncClient, ada: Person) -> None:
    answer = await client.post("/api/v1/projects", content=b" " * (2**20 + 1), headers=ada.headers)
    assert answer.status_code == 413
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_page_of_the_api_has_a_policy_of_its_own(client: AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.headers.get_list("content-security-policy") == [answer.headers["content-security-policy"]]
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


async def test_transport_security_is_asked_for_behind_tls_alone(serving: MakeClient) -> None:
    async with serving(scheme="https") as client:
        assert (await client.get("/health")).headers["strict-transport-security"].startswith("max-age=31536000")


async def test_by_default_no_page_of_another_origin_may_call(client: AsyncClient) -> None:
    answer = await client.get("/health", headers={"Origin": CONSOLE})
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_named_origin_may_call_and_may_read_the_limits(serving: MakeClient) -> None:
    async with serving(cors={"origins": f"{CONSOLE}, http://localhost:3000"}, limits={"enabled": True}) as client:
        asked = {"Origin": CONSOLE, "Access-Control-Request-Method": "POST"}
        asked |= {"Access-Control-Request-Headers": "authorization,idempotency-key"}
        preflight = await client.options("/api/v1/projects", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == CONSOLE
        answer = await client.get("/api/v1/projects", headers={"Origin": CONSOLE})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == CONSOLE
        assert "RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        stranger = await client.get("/api/v1/projects", headers={"Origin": "https://evil.example.com"})
        assert "access-control-allow-origin" not in stranger.headers
