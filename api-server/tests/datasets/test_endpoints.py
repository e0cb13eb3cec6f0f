"""Uploading tables: what is kept, what is refused, who sees it. Profiling itself is the trainer's and tested there."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import Person

CSV = b"age,city,income\n31,Paris,>50K\n25,Lyon,<=50K\n"


async def make_project(client: AsyncClient, person: Person, name: str = "census") -> str:
    answer = await client.post("/api/v1/projects", json={"name": name}, headers=person.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.fixture
async def project(client: AsyncClient, ada: Person) -> str:
    return await make_project(client, ada)


async def upload(client: AsyncClient, person: Person, project: str, data: bytes = CSV, **fields: Any) -> Any:
    files = {"file": (fields.pop("file_name", "people.csv"), data, "text/csv")}
    return await client.post(
        "/api/v1/datasets/", files=files, data={"project_id": project, **fields}, headers=person.headers
    )


def stored_keys(parts: Parts) -> set[str]:
    return set(parts.store.keys("datasets/"))


async def test_an_upload_is_kept_byte_for_byte_and_profiled(client: AsyncClient, ada: Person, project: str) -> None:
    answer = await upload(client, ada, project, name="people", description="who", tags="a, b")
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["name"], dataset["version"], dataset["status"]) == ("people", 1, "processing")
    assert dataset["tags"] == ["a", "b"]
    assert dataset["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert dataset["size_bytes"] == len(CSV)
    raw = await client.get(f"/api/v1/datasets/{dataset['id']}/download", headers=ada.headers)
    assert raw.content == CSV
    job = await client.get(f"/api/v1/jobs/{dataset['job_id']}", headers=ada.headers)
    assert (job.json()["kind"], job.json()["state"]) == ("profile", "queued")


async def test_the_same_name_is_the_next_version(client: AsyncClient, ada: Person, project: str) -> None:
    first = (await upload(client, ada, project, name="people")).json()
    second = (await upload(client, ada, project, data=CSV + b"1,Nice,<=50K\n", name="people")).json()
    assert (second["id"], second["version"]) == (first["id"], 2)
    versions = await client.get(f"/api/v1/datasets/{first['id']}/versions", headers=ada.headers)
    assert [version["version"] for version in versions.json()["items"]] == [2, 1]
    old = await client.get(f"/api/v1/datasets/{first['id']}/download?version=1", headers=ada.headers)
    assert old.content == CSV


async def test_a_name_is_free_in_another_project(client: AsyncClient, ada: Person, project: str) -> None:
    other = await make_project(client, ada, "other")
    first = (await upload(client, ada, project, name="people")).json()
    second = (await upload(client, ada, other, name="people")).json()
    assert first["id"] != second["id"]


async def test_the_name_defaults_to_that_of_the_file(client: AsyncClient, ada: Person, project: str) -> None:
    answer = await upload(client, ada, project, file_name="../../etc/Straße 🚀 'x'.csv")
    assert answer.json()["name"] == "Straße 🚀 'x'"


@pytest.mark.parametrize("name", ['a/b\\c "d"', "🚀 rocket", "o'hara; DROP TABLE"])
async def test_names_people_use_are_kept(client: AsyncClient, ada: Person, project: str, name: str) -> None:
    answer = await upload(client, ada, project, name=name)
    assert answer.json()["name"] == name


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "bell\a"}, "/name"),
        ({"project_id": "nonsense"}, "/project_id"),
        ({"unknown": "1"}, "/unknown"),
        ({"sensitive": "perhaps"}, "/sensitive"),
    ],
    ids=str,
)
async def test_a_field_that_is_wrong_is_named_and_no_object_stays(
    client: AsyncClient, ada: Person, project: str, parts: Parts, fields: dict[str, str], pointer: str
) -> None:
    before = stored_keys(parts)
    plain = {"project_id": project, **fields}
    files = {"file": ("people.csv", CSV)}
    answer = await client.post("/api/v1/datasets", files=files, data=plain, headers=ada.headers)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert stored_keys(parts) == before


async def test_an_empty_file_is_refused_at_once(client: AsyncClient, ada: Person, project: str, parts: Parts) -> None:
    before = stored_keys(parts)
    answer = await upload(client, ada, project, data=b"")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:modelmill:problem:empty-file")
    assert stored_keys(parts) == before


async def test_a_body_that_is_no_form_is_refused(client: AsyncClient, ada: Person) -> None:
    answer = await client.post("/api/v1/datasets", content=CSV, headers={**ada.headers, "Content-Type": "text/csv"})
    assert answer.status_code == 415


async def test_a_client_that_leaves_mid_upload_leaves_nothing(
    client: AsyncClient, ada: Person, project: str, parts: Parts
) -> None:
    before = stored_keys(parts)

    async def half() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + b"1,2\n" * 600_000

    headers = {**ada.headers, "Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post("/api/v1/datasets", content=half(), headers=headers)
    assert answer.status_code == 422
    assert "ended early" in answer.json()["detail"]
    assert stored_keys(parts) == before
    assert (await client.get("/api/v1/datasets", headers=ada.headers)).json()["items"] == []


async def test_a_file_above_the_limit_is_refused_while_it_arrives(
    client: AsyncClient, ada: Person, project: str, parts: Parts
) -> None:
    object.__setattr__(parts.datasets, "max_upload_bytes", 1_000)
    try:
        before = stored_keys(parts)
        answer = await upload(client, ada, project, data=b"x" * 2_000)
    finally:
        object.__setattr__(parts.datasets, "max_upload_bytes", parts.settings.uploads.max_bytes)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:modelmill:problem:upload-too-large")
    assert stored_keys(parts) == before


async def test_an_unknown_project_or_one_of_another_workspace_is_refused(
    client: AsyncClient, ada: Person, bob: Person, project: str, parts: Parts
) -> None:
    before = stored_keys(parts)
    assert (await upload(client, ada, str(uuid4()))).status_code == 404
    assert (await upload(client, bob, project)).status_code == 404
    assert stored_keys(parts) == before


async def test_nobody_sees_a_dataset_of_another_workspace(
    client: AsyncClient, ada: Person, bob: Person, project: str
) -> None:
    dataset = (await upload(client, ada, project)).json()
    for path in ("", "/download", "/preview", "/statistics", "/versions"):
        answer = await client.get(f"/api/v1/datasets/{dataset['id']}{path}", headers=bob.headers)
        assert answer.status_code == 404, path
    assert (await client.get("/api/v1/datasets", headers=bob.headers)).json()["items"] == []
    assert (await client.delete(f"/api/v1/datasets/{dataset['id']}", headers=bob.headers)).status_code == 404


async def test_uploading_needs_the_role_of_a_data_scientist(client: AsyncClient, project: str) -> None:
    answer = await client.post("/api/v1/datasets", files={"file": ("a.csv", CSV)}, data={"project_id": project})
    assert answer.status_code == 401


async def test_preview_and_statistics_wait_for_the_profile(client: AsyncClient, ada: Person, project: str) -> None:
    dataset = (await upload(client, ada, project)).json()
    for path in ("preview", "statistics", "download?format=parquet"):
        answer = await client.get(f"/api/v1/datasets/{dataset['id']}/{path}", headers=ada.headers)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:modelmill:problem:dataset-not-ready"), path


async def test_lists_are_pages_with_filters(client: AsyncClient, ada: Person, project: str) -> None:
    for name in ("alpha", "beta", "gamma"):
        await upload(client, ada, project, name=name, tags=f"t-{name}")
    first = (await client.get("/api/v1/datasets?limit=2", headers=ada.headers)).json()
    rest = (await client.get(f"/api/v1/datasets?limit=2&cursor={first['next_cursor']}", headers=ada.headers)).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == ["gamma", "beta", "alpha"]
    assert rest["next_cursor"] is None
    for query in ("tag=t-beta", "search=BET", f"project_id={project}&search=beta"):
        found = (await client.get(f"/api/v1/datasets?{query}", headers=ada.headers)).json()
        assert [item["name"] for item in found["items"]] == ["beta"], query
    assert (await client.get("/api/v1/datasets?status=ready", headers=ada.headers)).json()["items"] == []


async def test_a_dataset_in_use_is_not_deleted(client: AsyncClient, ada: Person, project: str) -> None:
    dataset = (await upload(client, ada, project)).json()
    refused = await client.delete(f"/api/v1/datasets/{dataset['id']}", headers=ada.headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:modelmill:problem:dataset-in-use")


async def test_deleting_removes_rows_and_objects(client: AsyncClient, ada: Person, project: str, parts: Parts) -> None:
    dataset = (await upload(client, ada, project)).json()
    await client.post(f"/api/v1/jobs/{dataset['job_id']}/cancel", headers=ada.headers)
    cancelled = (await client.get(f"/api/v1/datasets/{dataset['id']}", headers=ada.headers)).json()
    assert cancelled["status"] == "invalid"
    before = stored_keys(parts)
    assert (await client.delete(f"/api/v1/datasets/{dataset['id']}", headers=ada.headers)).status_code == 204
    assert (await client.get(f"/api/v1/datasets/{dataset['id']}", headers=ada.headers)).status_code == 404
    assert {key for key in before if dataset["version_id"] in key} & stored_keys(parts) == set()


async def test_deleting_a_project_says_and_takes_its_datasets(client: AsyncClient, ada: Person, project: str) -> None:
    dataset = (await upload(client, ada, project)).json()
    await client.post(f"/api/v1/jobs/{dataset['job_id']}/cancel", headers=ada.headers)
    shown = (await client.get(f"/api/v1/projects/{project}/deletion", headers=ada.headers)).json()
    assert shown["contents"]["datasets"] == 1
    assert (await client.delete(f"/api/v1/projects/{project}", headers=ada.headers)).status_code == 200
    assert (await client.get(f"/api/v1/datasets/{dataset['id']}", headers=ada.headers)).status_code == 404


async def test_a_change_renames_and_tags(client: AsyncClient, ada: Person, project: str) -> None:
    dataset = (await upload(client, ada, project)).json()
    wish = {"name": "renamed", "tags": ["x"]}
    changed = await client.patch(f"/api/v1/datasets/{dataset['id']}", json=wish, headers=ada.headers)
    assert (changed.json()["name"], changed.json()["tags"]) == ("renamed", ["x"])


async def test_a_name_that_is_taken_is_a_conflict(client: AsyncClient, ada: Person, project: str) -> None:
    await upload(client, ada, project, name="taken")
    dataset = (await upload(client, ada, project, name="free")).json()
    answer = await client.patch(f"/api/v1/datasets/{dataset['id']}", json={"name": "taken"}, headers=ada.headers)
    assert answer.status_code == 409
