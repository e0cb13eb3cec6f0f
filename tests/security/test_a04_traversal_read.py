"""A4: no string in any name, key, id or file name makes a service read what it should not. A canary lies outside the store."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from httpx import AsyncClient
from mill_kit.problems import Problem
from mill_kit.store.folder import FileStore

from tests.security.evidence import Evidence
from tests.security.strings import traversals, tried
from tests.security.support import Estate, api_routes, serving_routes, upload, wish

TESTS = "test_a04_traversal_read.py"
SECRET = "the canary sings at midnight"
PASSWD = "root:x:0:0"


@pytest.fixture(scope="module")
def canary(installation: Path) -> Path:
    """Beside the object store, where a single `..` would find it."""
    path = installation / "canary.txt"
    path.write_text(SECRET)
    return path


def gives_away(text: str) -> bool:
    return SECRET in text or PASSWD in text or "BEGIN PRIVATE KEY" in text


def on_the_wire(text: str) -> list[str]:
    """As a path segment: encoded once, twice, and raw where HTTP permits it."""
    once = quote(text.encode("utf-8", "surrogatepass"), safe="")
    raw = re.sub(r"[^!-~]|[?#]", "", text)
    return [once, quote(once, safe=""), *([raw] if raw and raw != once else [])]


def test_there_are_about_two_hundred_strings() -> None:
    assert len(traversals()) >= 180


async def test_no_path_of_the_api_server_reads_outside(client: AsyncClient, victim: Estate, canary: Path) -> None:
    """Each parameter of each GET route in turn."""
    evidence = Evidence(34, "Traversal is impossible: paths of the api-server", TESTS, full=200)
    routes = [path for verb, path in api_routes() if verb == "GET" and "{" in path and not path.endswith("/events")]
    wrong: list[str] = []
    for number, text in enumerate(tried()):
        path = routes[number % len(routes)]
        for segment in on_the_wire(text):
            for name in re.findall(r"\{([^}]+)\}", path):
                address = victim.path(path.replace(f"{{{name}}}", segment))
                answer = await client.get(address, headers=victim.owner.headers)
                bad = gives_away(answer.text) or answer.status_code >= 500
                evidence.count(failed=bad)
                if bad:
                    wrong.append(f"{address}: {answer.status_code}")
    evidence.figures = {"strings": len(tried()), "routes": len(routes)}
    evidence.keep()
    assert wrong == []


async def test_no_path_of_ml_service_reads_outside(serving: AsyncClient, canary: Path) -> None:
    """Model names are part of a path, with slashes, so this is where it would happen."""
    evidence = Evidence(34, "Traversal is impossible: paths of ml-service", TESTS, full=200)
    routes = [(verb, path) for verb, path in serving_routes() if "{model}" in path]
    wrong: list[str] = []
    for text in tried():
        for segment in on_the_wire(text):
            for verb, path in routes:
                answer = await serving.request(verb, path.replace("{model}", segment), content=b"{}")
                bad = gives_away(answer.text) or answer.status_code >= 500
                evidence.count(failed=bad)
                if bad:
                    wrong.append(f"{verb} {path} {segment!r}: {answer.status_code} {answer.text[:200]}")
    evidence.figures = {"strings": len(tried()), "routes": len(routes)}
    evidence.keep()
    assert wrong == []


async def test_no_field_of_a_request_names_a_file(client: AsyncClient, victim: Estate, canary: Path) -> None:
    """Text fields of projects, models, datasets, keys and queries: kept as text, or refused; never followed."""
    evidence = Evidence(34, "Traversal is impossible: fields of requests", TESTS, full=200)
    wrong: list[str] = []
    headers = victim.owner.headers
    for text in tried():
        storable = json.loads(json.dumps(text))
        requests = [
            client.post(
                "/api/v1/projects",
                headers=headers,
                json={"name": storable, "description": storable, "tags": [storable[:60]]},
            ),
            client.post("/api/v1/api-keys", headers=headers, json={"name": storable[:200]}),
            client.post("/api/v1/models", headers=headers, json=_training(victim, storable)),
            client.post(
                "/api/v1/predictions",
                headers=headers,
                json={"model": storable[:200], "input_data": {storable: storable}},
            ),
            client.get("/api/v1/datasets", headers=headers, params={"search": text, "tag": text, "cursor": text}),
            client.get(
                "/api/v1/models/leaderboard",
                headers=headers,
                params={"project_id": victim.ids["project_id"], "metric": text},
            ),
        ]
        for request in requests:
            answer = await request
            bad = gives_away(answer.text) or (answer.status_code >= 500 and answer.status_code != 503)
            evidence.count(failed=bad)
            if bad:
                wrong.append(f"{answer.request.url} {text!r}: {answer.status_code} {answer.text[:200]}")
    evidence.keep()
    assert wrong == []


async def test_a_file_name_is_a_label_and_nothing_more(client: AsyncClient, victim: Estate, canary: Path) -> None:
    """Kept as display text; the download sends the uploaded bytes under a name that no header is split by."""
    evidence = Evidence(34, "Traversal is impossible: names of downloads", TESTS, full=50)
    headers = victim.owner.headers
    for number, text in enumerate(traversals()[::4]):
        made = await upload(client, headers, victim.ids["project_id"], name=f"label {number}", file_name=text)
        assert made.status_code in {201, 422}, made.text
        if made.status_code == 422:
            continue
        answer = await client.get(f"/api/v1/datasets/{made.json()['id']}/download", headers=headers)
        disposition = answer.headers["content-disposition"]
        safe = re.fullmatch(r"attachment; filename\*=UTF-8''[\w.~%-]*", disposition) is not None
        evidence.count(failed=not safe or gives_away(answer.text) or "x-injected" in answer.headers)
        assert safe, disposition
        assert not gives_away(answer.text)
    evidence.keep()


def test_the_folder_store_refuses_every_key_that_is_no_key(tmp_path: Path) -> None:
    """The last wall, whatever stands before it."""
    evidence = Evidence(34, "Traversal is impossible: keys of the folder store", TESTS, full=200)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary.txt").write_text(SECRET)
    (tmp_path / "canary.txt").write_text(SECRET)
    store = FileStore(outside / "objects")
    for text in [*traversals(), *(f"datasets/{one}" for one in traversals())]:
        try:
            found = store.get(text)
        except (Problem, ValueError, OSError, KeyError):
            found = b""
        evidence.count(failed=bool(found))
        assert found == b"", text
    evidence.keep()


async def test_the_store_is_never_asked_for_a_key_of_the_callers_making(
    client: AsyncClient, victim: Estate, installation: Path
) -> None:
    """Every object in the folder has a name of ours, after all that was uploaded here."""
    del client
    names = await asyncio.to_thread(
        lambda: [
            str(one.relative_to(installation / "objects"))
            for one in (installation / "objects").rglob("*")
            if one.is_file()
        ]
    )
    ours = re.compile(
        r"(datasets|models|scores|jobs)/[0-9a-f-]{36}/[0-9a-f-]{36}/[a-z.]+|published/\d{12}\.json|identity"
    )
    assert names
    assert [name for name in names if not ours.fullmatch(name) and not name.startswith(".")] == []


def _training(estate: Estate, text: str) -> dict[str, Any]:
    return wish(estate, name=text[:100], target=text, features=[text, "a"], description=text, algorithm=text[:64])
