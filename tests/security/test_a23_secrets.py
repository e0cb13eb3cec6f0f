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
from collections.abc import Iterator

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import pytest
from httpx import AsyncClient
from mill_api.settings import Settings
from mill_api.testing import register
from mill_kit import logs
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
    password, newer = (f"planted-{kind}-{secrets.token_hex(8)}" for kind in ("password", "newer"))
    person = await register(client, "planter")
    changed = await client.patch(
        "/api/v1/users/me", headers=person.headers, json={"current_password": person.password, "new_password": password}
    )
    assert changed.status_code in {200, 422}, changed.text
    signed_in = await client.post(
        "/api/v1/auth/token",
        data={"username": person.username, "password": password if changed.is_success else person.password},
    )
    tokens = signed_in.json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    key = (
        await client.post("/api/v1/api-keys", headers=headers, json={"name": "planted", "scopes": ["read", "predict"]})
    ).json()["key"]
    planted = {
        "password": password,
        "wrong password": newer,
        "refresh token": tokens["refresh_token"],
        "access token": tokens["access_token"].split(".")[2],
        "API key": key,
        "database password": re.findall(r":([^:@/]+)@", settings.database.url.get_secret_value())[0],
        "broker password": re.findall(r":([^:@/]+)@", settings.broker.url.get_secret_value())[0],
        "signing key": settings.tokens.private_key_file.read_text().splitlines()[1],
    }
    answers = [changed.text]
    for secret in planted.values():
        answers += await misuse(client, serving, secret)
    answers += [(await client.post("/api/v1/auth/token", data={"username": person.username, "password": newer})).text]
    answers += [
        (await client.get("/metrics")).text,
        (await serving.get("/metrics")).text,
        (await serving.get("/stats")).text,
    ]
    captured = capsys.readouterr()
    places = {"answers": "\n".join(answers), "logs": captured.err + captured.out, "database": await dump(databases)}
    assert len(places["logs"]) > 1_000
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
