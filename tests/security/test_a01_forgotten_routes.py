"""A1: every route with every verb, without credentials, with worthless ones, and with those of another workspace."""

import json
import time

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from mill_api.settings import Settings
from mill_serving.app import Parts as ServingParts

from tests.security.evidence import Evidence
from tests.security.forge import Forger
from tests.security.support import ENTRY, VERBS, Estate, api_routes, filled, serving_routes

TESTS = "test_a01_forgotten_routes.py"
UNDESCRIBED = {
    "/health",
    "/health/live",
    "/health/ready",
    "/health/startup",
    "/health/detailed",
    "/metrics",
    "/docs",
    "/redoc",
    "/openapi.json",
}
"""Routes outside the OpenAPI document: what they tell is for everybody."""


@pytest.fixture(scope="module")
def worthless(settings: Settings, victim: Estate) -> dict[str, dict[str, str]]:
    """Credentials by what is wrong with them."""
    forger = Forger.of(settings.tokens.private_key_file, victim.owner.access_token)
    now = int(time.time())
    tokens = {
        "expired": forger.token(iat=now - 7200, exp=now - 3600),
        "wrong audience": forger.token(aud="another-service"),
        "refresh token": victim.owner.refresh_token,
        "garbage": "a.b.c",
        "unknown key": "mm_" + "x" * 43,
    }
    bearer = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
    return {
        "none": {},
        **bearer,
        "unknown key in its header": {"X-API-Key": tokens["unknown key"]},
        "basic": {"Authorization": "Basic YTpi"},
    }


async def test_no_route_answers_without_credentials_that_are_worth_something(
    client: AsyncClient, victim: Estate, worthless: dict[str, dict[str, str]]
) -> None:
    evidence = Evidence(27, "Every route is authorised: worthless credentials", TESTS)
    open_routes: list[str] = []
    for verb, path in api_routes():
        if path in ENTRY:
            continue
        for kind, headers in worthless.items():
            answer = await client.request(verb, victim.path(path), headers=headers)
            evidence.count(failed=answer.status_code != 401)
            if answer.status_code != 401:
                open_routes.append(f"{verb} {path} with {kind}: {answer.status_code}")
    evidence.figures = {"routes": len(api_routes()), "kinds_of_credentials": len(worthless)}
    evidence.keep()
    assert open_routes == []


async def test_verbs_nobody_declared_do_nothing(client: AsyncClient, victim: Estate) -> None:
    declared: dict[str, set[str]] = {}
    for verb, path in api_routes():
        declared.setdefault(path, set()).add(verb)
    answered: list[str] = []
    for path, verbs in declared.items():
        for verb in set(VERBS) - verbs:
            for headers in ({}, victim.owner.headers):
                answer = await client.request(verb, victim.path(path), headers=headers)
                if answer.status_code not in {401, 404, 405, 422}:  # 422: `me` where another verb takes an id
                    answered.append(f"{verb} {path}: {answer.status_code}")
            overridden = {**victim.owner.headers, "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
            if "GET" in verbs and not path.endswith("/events"):
                await client.get(victim.path(path), headers=overridden)
    assert answered == []
    still_there = await client.get(victim.path("/api/v1/models/{model_id}"), headers=victim.owner.headers)
    assert still_there.status_code == 200


async def test_another_workspace_sees_and_changes_nothing(
    client: AsyncClient, victim: Estate, stranger: Estate
) -> None:
    evidence = Evidence(27, "Every route is authorised: another workspace's token", TESTS)
    before = await _everything(client, victim)
    leaks: list[str] = []
    for verb, path in api_routes():
        if (verb != "GET" and "{" not in path) or path.endswith("/events"):
            continue  # what takes no id is one's own, and may end the sign-in that this test needs
        answer = await client.request(verb, victim.path(path), headers=stranger.owner.headers)
        stolen = [
            name
            for name, value in victim.ids.items()
            if name != "version" and value in answer.text and value not in path
        ]
        refused = answer.status_code in {400, 401, 403, 404, 405, 409, 415, 422}
        named = "{" in path and not refused
        echoed = stolen and not refused
        evidence.count(failed=bool(named or echoed))
        if named or echoed:
            leaks.append(f"{verb} {path}: {answer.status_code} {stolen}")
    evidence.keep()
    assert leaks == []
    assert await _everything(client, victim) == before


def test_every_route_of_the_application_is_described(app: FastAPI, serving_parts: ServingParts) -> None:
    described = {path for _, path in api_routes()}
    known = {getattr(route, "path", "") for route in app.router.routes} | _included(app)
    hidden = {
        path
        for path in known
        if path and path not in described and path not in UNDESCRIBED and not path.startswith("/docs")
    }
    assert hidden == set(), "routes outside the OpenAPI document"
    inside = {path for _, path in serving_routes()}
    mounted = {getattr(route, "path", "") for route in serving_parts.documents.router.routes}
    wanted = {path.replace(":path", "") for path in mounted}
    assert {
        path
        for path in wanted
        if path and path not in inside and path not in UNDESCRIBED and not path.startswith("/docs")
    } == set()


async def test_ml_service_refuses_worthless_credentials_everywhere(
    serving: AsyncClient, worthless: dict[str, dict[str, str]]
) -> None:
    """A public model needs no key; a key that is shown must still be one."""
    evidence = Evidence(27, "Every route is authorised: worthless credentials at ml-service", TESTS)
    answered: list[str] = []
    for verb, path in serving_routes():
        for kind, headers in worthless.items():
            if kind in {"none", "basic"}:
                continue
            answer = await serving.request(verb, filled(path, model="no-such-model"), headers=headers)
            wrong = answer.status_code >= 500 or (answer.status_code < 400 and not _says_nothing(path))
            evidence.count(failed=wrong)
            if wrong:
                answered.append(f"{verb} {path} with {kind}: {answer.status_code}")
    evidence.keep()
    assert answered == []


async def test_ml_service_shows_strangers_the_public_models_alone(serving: AsyncClient, stranger: Estate) -> None:
    for headers in ({}, stranger.owner.headers):
        listed = (await serving.get("/models", headers=headers)).json()["models"]
        assert listed
        assert all(model["public"] for model in listed)
    for verb in set(VERBS) - {"GET", "POST", "HEAD", "OPTIONS"}:
        for path in ("/models", "/stats", "/predict/demo_model_1", "/v2/models/demo_model_1", "/metrics", "/health"):
            answer = await serving.request(verb, path, headers=stranger.owner.headers)
            assert answer.status_code in {401, 404, 405}, (verb, path, answer.status_code)


def _included(app: FastAPI) -> set[str]:
    return set(app.openapi()["paths"])


def _says_nothing(path: str) -> bool:
    """Whether the route answers everybody alike: is it alive, what does it speak."""
    return path in {"/", "/v2", "/v2/health/live", "/v2/health/ready", "/ping", "/stats", "/pool/stats"}


async def _everything(client: AsyncClient, estate: Estate) -> str:
    """All that the owner can read, without what changes by itself."""
    found: dict[str, object] = {}
    for verb, path in api_routes():
        if (
            verb == "GET"
            and not path.endswith(("/events", "/download", "/package", "/me", "/api-keys"))
            and not {"jobs", "audit", "sessions"} & set(path.split("/"))
        ):
            answer = await client.get(estate.path(path), headers=estate.owner.headers)
            found[path] = answer.text if answer.status_code == 200 else answer.status_code
    return json.dumps(found, sort_keys=True)
