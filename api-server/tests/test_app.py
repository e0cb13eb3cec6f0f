"""The edge of the api-server: problems for everything, slashes, request ids, limits, health, metrics."""

import re
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app, openapi_document
from mill_api.settings import Settings
from mill_api.testing import Person

PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_an_unknown_path_and_method_are_problems(client: AsyncClient) -> None:
    missing = await client.get("/api/v1/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, PROBLEM)
    assert missing.json()["type"] == "urn:modelmill:problem:no-such-route"
    method = await client.delete("/api/v1/auth/token")
    assert (method.status_code, method.headers["content-type"]) == (405, PROBLEM)
    assert method.headers["allow"] == "POST"


@pytest.mark.parametrize("content", [b"", b"[]", b"null"])
async def test_a_body_that_is_no_object_is_a_problem(client: AsyncClient, ada: Person, content: bytes) -> None:
    answer = await client.post("/api/v1/projects", content=content, headers=ada.headers | JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "(byte 1)"),
        ('{"name": "\u00e4", x}'.encode(), "(byte 15)"),
        ('{"name": "\u00e4"}'.encode("latin-1"), "(byte 10): it is not UTF-8"),
        (b'{"name": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"name": ' + b"1" * 5_000 + b"}", "too long"),
    ],
    ids=["cut off", "no key", "Latin-1", "deep", "5,000 digits"],
)
async def test_a_body_that_is_no_json_says_where_it_ends(
    client: AsyncClient, ada: Person, content: bytes, words: str
) -> None:
    answer = await client.post("/api/v1/projects", content=content, headers=ada.headers | JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    problem = answer.json()
    assert problem["type"] == "urn:modelmill:problem:invalid"
    assert problem["detail"].startswith("the body is not valid JSON")
    assert words in problem["detail"]
    assert "errors" not in problem


async def test_refusals_say_in_plain_words_what_to_do(client: AsyncClient, ada: Person) -> None:
    body = {"owner": "me", "tags": ["", "x" * 65]}
    answer = await client.post("/api/v1/projects", json=body, headers=ada.headers)
    assert {error["pointer"]: error["detail"] for error in answer.json()["errors"]} == {
        "/name": "is missing; it is required",
        "/owner": "is not a field of this request; remove it",
        "/tags/0": "must not be empty",
        "/tags/1": "is too long; at most 64 characters are allowed",
    }
    control = await client.post("/api/v1/projects", json={"name": "a\nb"}, headers=ada.headers)
    assert control.json()["errors"][0]["detail"] == "control characters and line breaks are not allowed"
    assert "/docs" in (await client.get("/api/v1/nothing")).json()["detail"]
    assert "it takes POST" in (await client.delete("/api/v1/auth/token")).json()["detail"]


async def test_a_failed_sign_in_says_what_was_wrong(client: AsyncClient, ada: Person) -> None:
    form = {"username": ada.username, "password": "not the password"}
    wrong = await client.post("/api/v1/auth/token", data=form)
    assert (wrong.status_code, wrong.json()["detail"]) == (401, "Wrong username or password")
    stale = await client.post("/api/v1/auth/refresh", json={"refresh_token": "garbage"})
    assert stale.status_code == 401
    assert stale.json()["detail"].endswith("sign in again")


async def test_every_wrong_field_has_its_pointer(client: AsyncClient, ada: Person) -> None:
    body = {"name": "", "tags": ["ok", 5], "config": 1, "a/b~c": 1}
    answer = await client.post("/api/v1/projects", json=body, headers=ada.headers)
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/name", "/tags/1", "/config", "/a~1b~0c"}
    query = await client.get("/api/v1/projects", params={"limit": 0}, headers=ada.headers)
    assert query.json()["errors"][0]["pointer"] == "/query/limit"
    path = await client.get("/api/v1/projects/not-an-id", headers=ada.headers)
    assert path.json()["errors"][0]["pointer"] == "/path/project_id"


async def test_every_route_answers_with_and_without_a_trailing_slash(client: AsyncClient, ada: Person) -> None:
    for path in ("/health", "/api/v1/auth/me", "/api/v1/projects", "/metrics"):
        with_slash = await client.get(path + "/", headers=ada.headers)
        assert with_slash.status_code == (await client.get(path, headers=ada.headers)).status_code == 200, path
        assert not with_slash.history
    made = await client.post("/api/v1/projects/", json={"name": "x"}, headers=ada.headers)
    assert made.status_code == 201


async def test_a_request_id_is_kept_or_made(client: AsyncClient) -> None:
    kept = await client.get("/api/v1/auth/me", headers={"X-Request-ID": "from-the-client-1"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "from-the-client-1"
    made = await client.get("/api/v1/auth/me", headers={"X-Request-ID": "bad\x07id with spaces"})
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])


async def test_a_body_is_at_most_a_mebibyte(client: AsyncClient, ada: Person) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(40):
            yield b"x" * 65536

    announced = await client.post("/api/v1/projects", json={"name": "x" * 2**20}, headers=ada.headers)
    streamed = await client.post("/api/v1/projects", content=chunks(), headers=ada.headers)
    disguised = await client.post(
        "/api/v1/projects", content=chunks(), headers=ada.headers | {"Content-Type": "multipart/form-data; boundary=x"}
    )
    nobody = await client.post("/api/v1/auth/token", content=chunks(), headers=FORM)
    for answer in (announced, streamed, disguised, nobody):
        assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM), answer.text


async def test_an_unforeseen_error_is_a_bare_problem_with_the_request_id(app: FastAPI, settings: Settings) -> None:
    broken = create_app(settings)

    @broken.get("/broken")
    async def fail() -> None:  # pyright: ignore[reportUnusedFunction]
        raise RuntimeError("the password is hunter2")

    async with AsyncClient(transport=ASGITransport(broken), base_url="http://modelmill.test") as client:
        answer = await client.get("/broken", headers={"X-Request-ID": "find-me-in-logs"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "find-me-in-logs"
    assert "hunter2" not in answer.text


async def test_health_tells_up_from_ready(client: AsyncClient, settings: Settings) -> None:
    for path in ("/health", "/health/detailed", "/health/ready", "/health/live", "/health/startup"):
        assert (await client.get(path)).status_code == 200, path
    detailed = (await client.get("/health/detailed")).json()
    assert detailed["status"] == "healthy"
    assert set(detailed["checks"]) >= {"database", "store", "cache"}
    not_started = AsyncClient(transport=ASGITransport(create_app(settings)), base_url="http://modelmill.test")
    async with not_started as early:
        assert (await early.get("/health/live")).status_code == 200
        assert (await early.get("/health/ready")).status_code == 503
        assert (await early.get("/health/startup")).status_code == 503


async def test_metrics_count_requests_by_route_not_by_path(client: AsyncClient, ada: Person) -> None:
    await client.get("/api/v1/projects/0197a000-0000-7000-8000-000000000000", headers=ada.headers)
    await client.get("/wp-admin/1234")
    exposed = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/api/v1/projects/{project_id}",status="404"}' in exposed
    assert 'route="unmatched",status="404"' in exposed
    assert "0197a000" not in exposed
    assert "wp-admin" not in exposed
    assert 'http_request_duration_seconds_bucket{le="0.5"' in exposed
    assert "active_requests 1.0" in exposed


async def test_the_document_describes_every_route(client: AsyncClient) -> None:
    served = (await client.get("/openapi.json")).json()
    assert served == openapi_document()
    operations = [operation for path in served["paths"].values() for operation in path.values()]
    assert all(operation.get("summary") and operation.get("description") for operation in operations)
    for operation in operations:
        assert list(operation["responses"]["default"]["content"]) == [PROBLEM]
        assert "422" not in operation["responses"]
    names = [operation["operationId"] for operation in operations]
    assert sorted(set(names)) == sorted(names)
    assert "projects_create" in names


async def test_the_description_is_shown_without_the_internet(client: AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "://" not in page
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert [(await client.get(path)).status_code for path in named] == [200] * 4
    assert (await client.get("/redoc")).status_code == 404


async def test_every_route_asks_who_is_there(client: AsyncClient) -> None:
    """Signing in is open; anything else without a token is 401, whatever the body."""
    open_routes = {f"/api/v1/auth/{verb}" for verb in ("register", "token", "refresh", "logout")}
    for path, methods in openapi_document()["paths"].items():
        if path in open_routes:
            continue
        concrete = re.sub(r"\{[^}]+\}", "0197a000-0000-7000-8000-000000000000", path)
        for method in methods:
            answer = await client.request(method.upper(), concrete)
            assert answer.status_code == 401, (method, path, answer.status_code)
