"""A23 and promise 36: passwords, keys and tokens are planted, used and misused, then looked for everywhere they must not be."""

# asyncpg ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnnecessaryTypeIgnoreComment=false
import base64
import hashlib
import logging
import re
import secrets
import subprocess
import traceback
from collections.abc import Iterator

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.settings import Settings
from mill_api.testing import register
from mill_kit import logs
from mill_kit.store import StoreUnavailable
from mill_local.testing import TestDatabase

from tests.security.evidence import Evidence
from tests.security.support import api_routes, filled, serving_routes

TESTS = "test_a23_secrets.py"


@pytest.fixture
def everything_logged(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """As in production, every request a line; after `capsys`, which it is written to."""
    del capsys
    logs.configure("security", level="INFO")
    for noisy in ("asyncio", "hypothesis"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    yield
    logs.configure("security", level="ERROR")


async def dump(databases: TestDatabase) -> str:
    """Every row of every table as text, as a thief of a backup would have it."""
    connection = await asyncpg.connect(databases.superuser_url)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        rows = [
            str(row[0]) for table in tables for row in await connection.fetch(f'SELECT t::text FROM "{table[0]}" t')
        ]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    finally:
        await connection.close()  # pyright: ignore[reportUnknownMemberType]
    assert len(rows) > 10
    return "\n".join(rows)


def spellings(secret: str) -> list[str]:
    """As it is, and as an encoder would show it."""
    return [
        secret,
        base64.b64encode(secret.encode()).decode().rstrip("="),
        secret.encode().hex(),
        hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest(),
    ]


async def test_no_planted_secret_is_found_anywhere(
    client: AsyncClient,
    serving: AsyncClient,
    databases: TestDatabase,
    settings: Settings,
    everything_logged: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evidence = Evidence(36, "Secrets do not leak", TESTS, full=1)
    used, answers = await plant(client)
    planted = {
        **used,
        "wrong password": f"planted-wrong-{secrets.token_hex(8)}",
        "database password": re.findall(r":([^:@/]+)@", settings.database.url.get_secret_value())[0],
        "broker password": re.findall(r":([^:@/]+)@", settings.broker.url.get_secret_value())[0],
        "signing key": settings.tokens.private_key_file.read_text().splitlines()[1],
        "store password": f"planted-store-{secrets.token_hex(8)}",
    }
    assert all(len(secret) >= 12 for secret in planted.values())
    for secret in planted.values():
        answers += await misuse(client, serving, secret)
    answers += await without_store(settings, planted["store password"])
    answers += [
        (await client.get("/metrics")).text,
        (await serving.get("/metrics")).text,
        (await serving.get("/stats")).text,
    ]
    captured = capsys.readouterr()
    places = {"answers": "\n".join(answers), "logs": captured.err + captured.out, "database": await dump(databases)}
    assert len(places["logs"]) > 1_000
    assert "planter-" in places["database"]
    hits = [
        f"{name} in {place}"
        for name, secret in planted.items()
        for place, text in places.items()
        for one in spellings(secret)
        if one in text
    ]
    evidence.trials, evidence.failures = 1, len(hits)
    evidence.figures = {
        "secrets": len(planted),
        "places": len(places),
        "bytes_searched": sum(map(len, places.values())),
    }
    evidence.keep()
    assert hits == []


async def plant(client: AsyncClient) -> tuple[dict[str, str], list[str]]:
    """Register, sign in, change the password, refresh and use a key, all with success; the secrets, and what answers to others say."""
    first, password, wrong = (f"planted-{kind}-{secrets.token_hex(8)}" for kind in ("first", "password", "wrong"))
    name = f"planter-{secrets.token_hex(4)}"
    wish = {"email": f"{name}@example.com", "username": name, "password": first}
    registered = await client.post("/api/v1/auth/register", json=wish)
    assert registered.status_code == 201, registered.text
    early = await signed_in(client, name, first)
    changed = await client.patch(
        "/api/v1/users/me", headers=bearer(early), json={"current_password": first, "password": password}
    )
    assert changed.status_code == 200, changed.text
    refused = [
        await client.post("/api/v1/auth/token", data={"username": name, "password": old}) for old in (first, wrong)
    ]
    assert [one.status_code for one in refused] == [401, 401]
    tokens = await signed_in(client, name, password)
    renewed = await client.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert renewed.status_code == 200, renewed.text
    made = await client.post(
        "/api/v1/api-keys", headers=bearer(renewed.json()), json={"name": "planted", "scopes": ["read", "predict"]}
    )
    assert made.status_code == 201, made.text
    listed = await client.get("/api/v1/models", headers={"X-API-Key": made.json()["key"]})
    assert listed.status_code == 200, listed.text
    planted = {
        "first password": first,
        "password": password,
        "refused password": wrong,
        "used refresh token": tokens["refresh_token"],
        "refresh token": renewed.json()["refresh_token"],
        "access token": renewed.json()["access_token"].split(".")[2],
        "API key": made.json()["key"],
    }
    return planted, [one.text for one in (registered, changed, *refused, listed)]


async def signed_in(client: AsyncClient, username: str, password: str) -> dict[str, str]:
    answer = await client.post("/api/v1/auth/token", data={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def misuse(client: AsyncClient, serving: AsyncClient, secret: str) -> list[str]:
    """Send it where it is right, where it is wrong, and where it breaks something; what the answers say."""
    text: list[str] = []
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}, {"Authorization": f"Basic {secret}"}):
        text += [(await client.request(verb, filled(path), headers=headers)).text for verb, path in api_routes()[::9]]
        text += [
            (await serving.request(verb, filled(path), headers=headers)).text for verb, path in serving_routes()[::4]
        ]
    body = {
        "username": secret,
        "password": secret,
        "email": secret,
        "refresh_token": secret,
        "name": 1,
        "nonsense": {"a": secret},
    }
    for path in ("/api/v1/auth/register", "/api/v1/auth/refresh", "/api/v1/auth/logout"):
        answer = await client.post(path, json={**body, "password": [secret]})
        text.append(answer.text)
    return text


async def without_store(settings: Settings, secret: str) -> list[str]:
    """What an api-server says that has the keys of an S3 store and does not reach it."""
    store = {"url": "s3://127.0.0.1:9/objects?secure=false", "access_key": "planter", "secret_key": secret}
    lost = Settings.model_validate({**settings.model_dump(), "store": store})
    said = [repr(lost), str(lost)]
    try:
        async with LifespanManager(create_app(lost), startup_timeout=60, shutdown_timeout=30) as manager:
            transport = ASGITransport(manager.app, raise_app_exceptions=False)
            async with AsyncClient(transport=transport, base_url="http://lost.test") as client:
                person = await register(client, "storeless")
                paths = ("/health", "/health/ready", "/health/detailed", "/metrics", "/api/v1/datasets")
                said += [(await client.get(path, headers=person.headers)).text for path in paths]
    except StoreUnavailable as error:
        logging.getLogger("security").exception("the api-server does not start")
        said.append("".join(traceback.format_exception(error)))
    assert len(said) > 2
    return said


async def test_a_password_and_a_key_are_kept_as_what_cannot_be_turned_back(
    client: AsyncClient, databases: TestDatabase
) -> None:
    person = await register(client, "hashed")
    key = (await client.post("/api/v1/api-keys", headers=person.headers, json={"name": "k"})).json()["key"]
    text = await dump(databases)
    assert "$argon2id$" in text
    assert hashlib.sha256(key.encode()).hexdigest() in text
    assert key not in text
    assert person.password not in text


def test_no_secret_stands_in_a_process_list(settings: Settings) -> None:
    """Passwords go by files and by the environment, never by an argument."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    for url in (settings.database.url, settings.broker.url):
        for password in re.findall(r":([^:@/]+)@", url.get_secret_value()):
            assert password not in listed
