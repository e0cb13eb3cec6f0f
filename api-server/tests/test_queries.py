"""A query parameter that a route does not have is refused by name, so that a mistyped filter never means "everything"."""

from uuid import uuid4

import pytest
from httpx import AsyncClient
from mill_api.testing import Person


@pytest.mark.parametrize(
    ("path", "name", "advice"),
    [
        ("/api/v1/projects?archivd=true", "archivd", "'archived'"),
        ("/api/v1/jobs?stat=queued", "stat", "'state'"),
        ("/api/v1/models?limit=5&proyect_id=x", "proyect_id", "'project_id'"),
        ("/api/v1/audit/export?format=csv&formula=1", "formula", "'format'"),
        (f"/api/v1/datasets/{uuid4()}?anything=1", "anything", "not known"),
    ],
)
async def test_an_unknown_query_parameter_is_named(
    client: AsyncClient, ada: Person, path: str, name: str, advice: str
) -> None:
    answer = await client.get(path, headers=ada.headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"].rpartition(":")[2] == "unknown-query-parameter"
    (error,) = answer.json()["errors"]
    assert error["pointer"] == f"/query/{name}"
    assert advice in error["detail"]


async def test_what_a_route_takes_is_taken(client: AsyncClient, ada: Person) -> None:
    for path in (
        "/api/v1/projects?limit=5&archived=false&text=x&tag=t",
        "/api/v1/jobs?state=queued&state=running&limit=1",
        "/api/v1/audit?action=x&since=2026-01-01T00:00:00Z",
        "/health/live?anything=1",
    ):
        assert (await client.get(path, headers=ada.headers)).status_code == 200, path


@pytest.mark.parametrize("name", [".", "..", "...", str(uuid4()), uuid4().hex, f"{{{uuid4()}}}", f"urn:uuid:{uuid4()}"])
async def test_a_model_s_name_is_no_folder_and_no_id(client: AsyncClient, ada: Person, name: str) -> None:
    ids = {"project_id": str(uuid4()), "dataset_id": str(uuid4())}
    wish = {"name": name, "model_type": "classification", "framework": "xgboost", **ids}
    answer = await client.post("/api/v1/models", json=wish, headers=ada.headers)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30, "1e3", "0x10", " "])
async def test_a_last_event_id_that_is_none_of_ours_is_refused(client: AsyncClient, ada: Person, last: str) -> None:
    answer = await client.get(f"/api/v1/jobs/{uuid4()}/events", headers=ada.headers | {"Last-Event-ID": last})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].lower().endswith("last-event-id")
