"""Projects over HTTP: names, tags, archive, deletion, and the wall between workspaces."""

from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from mill_api.testing import Person, invite
from mill_contracts.tokens import Role

PATH = "/api/v1/projects"


async def make(client: AsyncClient, who: Person, **wanted: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"name": f"p-{uuid4().hex[:8]}"} | wanted, headers=who.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def names(client: AsyncClient, who: Person, **query: Any) -> list[str]:
    answer = await client.get(PATH, params=query, headers=who.headers)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_a_project_keeps_what_it_was_given(client: AsyncClient, ada: Person) -> None:
    wanted = {
        "name": "Census",
        "description": "Who earns\nwhat",
        "tags": ["b", "a", "b"],
        "config": {"x": [1, {"y": None}]},
    }
    made = await make(client, ada, **wanted)
    assert made | wanted | {"tags": ["b", "a"]} == made
    again = await client.get(f"{PATH}/{made['id']}/", headers=ada.headers)
    assert again.json() == made


@pytest.mark.parametrize("name", ["a/b", "../..", 'it\'s "quoted"', "🦊 fox", "日本語", "%2e%2e", "a;b--"])
async def test_names_may_hold_slashes_quotes_and_emoji(client: AsyncClient, ada: Person, name: str) -> None:
    made = await make(client, ada, name=name)
    assert made["name"] == name
    assert await names(client, ada, text=name) == [name]


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "line\nbreak", "x" * 201, "\ud800"])
async def test_names_nobody_can_read_are_refused_by_field(client: AsyncClient, ada: Person, name: str) -> None:
    body = '{"name": "\\ud800"}' if name == "\ud800" else None
    headers = ada.headers | {"Content-Type": "application/json"}
    answer = await client.post(PATH, content=body, headers=headers) if body else None
    answer = answer or await client.post(PATH, json={"name": name}, headers=ada.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_a_name_is_unique_within_its_workspace(client: AsyncClient, ada: Person, bob: Person) -> None:
    await make(client, ada, name="Census")
    answer = await client.post(PATH, json={"name": "Census"}, headers=ada.headers)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:modelmill:problem:project-name-taken"
    await make(client, bob, name="Census")


async def test_a_deleted_project_frees_its_name(client: AsyncClient, ada: Person) -> None:
    made = await make(client, ada, name="Census")
    gone = await client.delete(f"{PATH}/{made['id']}", headers=ada.headers)
    assert gone.json() == {"project_id": made["id"], "name": "Census", "contents": gone.json()["contents"]}
    assert (await client.get(f"{PATH}/{made['id']}", headers=ada.headers)).status_code == 404
    await make(client, ada, name="Census")


async def test_the_deletion_can_be_looked_at_first(client: AsyncClient, ada: Person) -> None:
    made = await make(client, ada)
    answer = await client.get(f"{PATH}/{made['id']}/deletion", headers=ada.headers)
    assert answer.status_code == 200
    assert all(count == 0 for count in answer.json()["contents"].values())


async def test_another_workspace_sees_and_changes_nothing(client: AsyncClient, ada: Person, bob: Person) -> None:
    made = await make(client, ada)
    path = f"{PATH}/{made['id']}"
    assert await names(client, bob) == []
    for method, address in [("GET", path), ("PATCH", path), ("DELETE", path), ("POST", path + "/archive")]:
        answer = await client.request(method, address, json={} if method == "PATCH" else None, headers=bob.headers)
        assert answer.status_code == 404, (method, answer.text)
    assert (await client.get(path, headers=ada.headers)).json() == made


async def test_archiving_twice_is_archiving_once(client: AsyncClient, ada: Person) -> None:
    made = await make(client, ada)
    for _ in range(2):
        answer = await client.post(f"{PATH}/{made['id']}/archive", headers=ada.headers)
        assert answer.json()["archived"] is True
    assert await names(client, ada, archived=True) == [made["name"]]
    assert await names(client, ada, archived=False) == []
    assert (await client.post(f"{PATH}/{made['id']}/unarchive", headers=ada.headers)).json()["archived"] is False


async def test_a_change_touches_only_the_fields_given(client: AsyncClient, ada: Person) -> None:
    made = await make(client, ada, description="kept", tags=["kept"])
    answer = await client.patch(f"{PATH}/{made['id']}", json={"name": "New name"}, headers=ada.headers)
    assert answer.status_code == 200
    assert answer.json() == made | {"name": "New name", "updated_at": answer.json()["updated_at"]}


async def test_lists_filter_by_tag_and_text(client: AsyncClient, ada: Person) -> None:
    await make(client, ada, name="alpha", tags=["x"], description="100% sure")
    await make(client, ada, name="beta", tags=["x", "y"])
    assert await names(client, ada, tag="y") == ["beta"]
    assert await names(client, ada, tag="x") == ["beta", "alpha"]
    assert await names(client, ada, text="ALPH") == ["alpha"]
    assert await names(client, ada, text="%") == ["alpha"]


async def test_pages_hold_every_project_once_while_new_ones_come(client: AsyncClient, ada: Person) -> None:
    made = [(await make(client, ada))["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, str | int] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PATH, params=query, headers=ada.headers)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await make(client, ada)
    assert seen == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "bm90IG9uZSBvZiBvdXJz", "%00", "w6k"])
async def test_a_made_up_cursor_is_refused(client: AsyncClient, ada: Person, cursor: str) -> None:
    answer = await client.get(PATH, params={"cursor": cursor}, headers=ada.headers)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:modelmill:problem:invalid-cursor"


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "x", "config": {"a": NaN}}',
        '{"name": "x", "config": {"a": "\\u0000"}}',
        '{"name": "x", "config": {"a": "\\ud800"}}',
        '{"name": "x", "config": {"a": "' + "y" * 70_000 + '"}}',
        '{"name": "x", "config": []}',
        '{"name": "x", "owner": "me"}',
        '{"name": "x", "tags": [""]}',
    ],
)
async def test_what_cannot_be_kept_is_refused_by_field(client: AsyncClient, ada: Person, body: str) -> None:
    headers = ada.headers | {"Content-Type": "application/json"}
    answer = await client.post(PATH, content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(("/config", "/owner", "/tags"))


async def test_a_member_without_the_role_sees_but_does_not_change(client: AsyncClient, ada: Person) -> None:
    reader = await invite(client, ada, Role.USER)
    made = await make(client, ada)
    assert await names(client, reader) == [made["name"]]
    answer = await client.post(PATH, json={"name": "mine"}, headers=reader.headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:modelmill:problem:role-too-low"
    editor = await invite(client, ada, Role.DATA_SCIENTIST)
    await make(client, editor)
