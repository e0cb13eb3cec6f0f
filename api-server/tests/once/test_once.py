"""The same Idempotency-Key gives the same answer, however often and however parallel it is sent."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from httpx import AsyncClient, Response
from mill_api.app import routers
from mill_api.once.route import OnceRoute
from mill_api.once.service import Asker
from mill_api.parts import Parts
from mill_api.testing import Person
from sqlalchemy import text


def keyed(who: Person, key: str | None = None) -> dict[str, str]:
    return {**who.headers, "Idempotency-Key": key or str(uuid4())}


async def make(client: AsyncClient, headers: dict[str, str], name: str = "census", **more: Any) -> Response:
    return await client.post("/api/v1/projects", json={"name": name, **more}, headers=headers)


def slug(answer: Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


async def count(client: AsyncClient, who: Person) -> int:
    return len((await client.get("/api/v1/projects", params={"limit": 200}, headers=who.headers)).json()["items"])


async def test_the_second_request_gets_the_first_answer(client: AsyncClient, ada: Person) -> None:
    headers = keyed(ada)
    first, second = await make(client, headers), await make(client, headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert await count(client, ada) == 1


async def test_a_key_in_quotes_is_the_same_key(client: AsyncClient, ada: Person) -> None:
    headers = keyed(ada, "order-4711")
    first = await make(client, headers)
    assert (await make(client, {**headers, "Idempotency-Key": '"order-4711"'})).content == first.content


async def test_another_payload_with_the_same_key_is_refused(client: AsyncClient, ada: Person) -> None:
    headers = keyed(ada)
    await make(client, headers)
    other = await make(client, headers, name="another")
    assert (other.status_code, slug(other)) == (422, "idempotency-key-reused")
    elsewhere = await client.post("/api/v1/api-keys", json={"name": "census"}, headers=headers)
    assert (elsewhere.status_code, slug(elsewhere)) == (422, "idempotency-key-reused")


async def test_a_refusal_is_not_kept_and_may_be_put_right(client: AsyncClient, ada: Person) -> None:
    await make(client, ada.headers)
    headers = keyed(ada)
    assert (await make(client, headers)).status_code == 409
    assert (await make(client, headers, name="")).status_code == 422
    assert (await make(client, headers, name="free")).status_code == 201


async def test_keys_of_two_people_never_meet(client: AsyncClient, ada: Person, bob: Person) -> None:
    key = str(uuid4())
    hers, his = await make(client, keyed(ada, key)), await make(client, keyed(bob, key))
    assert (hers.status_code, his.status_code) == (201, 201)
    assert hers.json()["id"] != his.json()["id"]


@pytest.mark.parametrize("key", ["", "with space", "x" * 256, "ä"])
async def test_a_key_that_is_none_is_refused(client: AsyncClient, ada: Person, key: str) -> None:
    answer = await client.post(
        "/api/v1/projects",
        json={"name": "n"},
        headers=[*ada.headers.items(), (b"Idempotency-Key", key.encode("latin-1"))],  # pyright: ignore[reportArgumentType]
    )
    assert (answer.status_code, slug(answer)) == (422, "invalid-idempotency-key")


async def test_a_secret_that_is_shown_once_comes_again_and_is_nowhere_readable(
    client: AsyncClient, ada: Person, parts: Parts
) -> None:
    headers = keyed(ada)
    wanted = {"name": "k", "scopes": ["read"]}
    first = await client.post("/api/v1/api-keys", json=wanted, headers=headers)
    second = await client.post("/api/v1/api-keys", json=wanted, headers=headers)
    assert first.json()["key"] == second.json()["key"]
    async with parts.system.reading() as session:
        rows = (await session.execute(text("SELECT * FROM idempotency_keys"))).all()
    assert rows
    assert first.json()["key"] not in repr(rows)
    assert headers["Idempotency-Key"] not in repr(rows)


async def test_fifty_at_once_make_one_row_for_each_of_many_keys(client: AsyncClient, ada: Person) -> None:
    """A tenth of promise 10's keys; `tests/faults` takes a hundred."""
    keys = [str(uuid4()) for _ in range(10)]
    seen, bodies = Counter[int](), set[bytes]()
    for number, key in enumerate(keys):
        answers = await asyncio.gather(*(make(client, keyed(ada, key), name=f"n{number}") for _ in range(50)))
        seen.update(answer.status_code for answer in answers)
        bodies.update(answer.content for answer in answers if answer.status_code == 201)
        assert {slug(answer) for answer in answers if answer.status_code == 409} <= {"request-in-flight"}
        assert (await make(client, keyed(ada, key), name=f"n{number}")).status_code == 201
    assert set(seen) <= {201, 409}
    assert len(bodies) == len(keys) == await count(client, ada)


async def test_while_one_works_its_twin_is_told_to_wait(client: AsyncClient, ada: Person, parts: Parts) -> None:
    headers = keyed(ada)
    name = f"{ada.workspace_id}\n{ada.id}\n{headers['Idempotency-Key']}"
    async with parts.system.writing() as work:
        await work.session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
        twin = await make(client, headers)
        assert (twin.status_code, slug(twin), twin.headers["retry-after"]) == (409, "request-in-flight", "1")
    assert (await make(client, headers)).status_code == 201


async def test_an_answer_that_was_lost_after_the_commit_is_given_again(
    client: AsyncClient, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment between commit and reply: the transaction stands, the client hears nothing."""
    headers = keyed(ada)

    async def gone(*_: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as broken:
        broken.setattr("starlette.responses.Response.__call__", gone)
        with pytest.raises(ConnectionResetError):
            await make(client, headers)
    assert await count(client, ada) == 1
    again = await make(client, headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert await count(client, ada) == 1


async def upload(client: AsyncClient, who: Person, key: str, content: bytes, name: str = "t.csv") -> Response:
    project = (await make(client, keyed(who, f"project-{who.id}"))).json()["id"]
    files = {"file": (name, content, "text/csv")}
    return await client.post("/api/v1/datasets", data={"project_id": project}, files=files, headers=keyed(who, key))


async def test_an_upload_is_told_again_by_what_it_held(client: AsyncClient, ada: Person) -> None:
    key = str(uuid4())
    first, second = [await upload(client, ada, key, b"a,b\n1,2\n") for _ in range(2)]  # with another boundary each
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert first.json()["version"] == 1
    other = await upload(client, ada, key, b"a,b\n1,3\n")
    assert (other.status_code, slug(other)) == (422, "idempotency-key-reused")


async def test_a_model_that_is_uploaded_again_makes_no_second_version(client: AsyncClient, ada: Person) -> None:
    project = (await make(client, ada.headers)).json()["id"]
    form = {"project_id": project, "name": "m", "framework": "xgboost", "model_type": "regression"}

    async def send(path: str, content: bytes, headers: dict[str, str], form: dict[str, str]) -> Response:
        files = {"file": ("m.json", content)}
        return await client.post(f"/api/v1/models/{path}", data=form, files=files, headers=headers)

    headers = keyed(ada)
    first, second = [await send("upload", b"{}", headers, form) for _ in range(2)]
    assert (first.status_code, first.content) == (201, second.content), first.text
    assert second.headers["idempotency-replayed"] == "true"
    other = await send("upload", b"[]", headers, form)
    assert (other.status_code, slug(other)) == (422, "idempotency-key-reused")
    next_, headers = f"{first.json()['id']}/upload", keyed(ada)
    third, fourth = [await send(next_, b"{}", headers, {"framework": "xgboost"}) for _ in range(2)]
    assert (third.status_code, third.json()["version"], third.content) == (201, 2, fourth.content), third.text


async def test_a_workspace_is_made_once(client: AsyncClient, ada: Person) -> None:
    headers = keyed(ada)
    first, second = [await client.post("/api/v1/workspaces", json={"name": "w"}, headers=headers) for _ in range(2)]
    assert first.status_code == 201, first.text
    assert first.content == second.content
    listed = await client.get("/api/v1/workspaces", headers=ada.headers)
    assert [item["name"] for item in listed.json()["items"]].count("w") == 1


def test_every_route_that_creates_keeps_its_answer() -> None:
    """Those that create without a workspace to keep an answer in are named here, and are safe to repeat by themselves."""
    unsafe = {
        (route.path, tuple(sorted(route.methods or ())))
        for router in routers()
        for route in router.routes
        if isinstance(route, APIRoute)
        and route.status_code in {201, 202}
        and not (isinstance(route, OnceRoute) and any("working" in str(one.call) for one in flat(route.dependant)))
    }
    assert {path for path, _ in unsafe} == {"/api/v1/auth/register"}


def flat(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from flat(inner)


async def key_with(client: AsyncClient, who: Person, *scopes: str) -> str:
    answer = await client.post("/api/v1/api-keys", json={"name": "k", "scopes": scopes}, headers=who.headers)
    return answer.json()["key"]


async def test_an_api_key_is_not_told_what_its_owner_was(client: AsyncClient, ada: Person) -> None:
    """Neither the secret that a signed-in user made, nor an answer that another of the user's keys got."""
    once, wanted = str(uuid4()), {"name": "secret", "scopes": ["read"]}
    first = await client.post("/api/v1/api-keys", json=wanted, headers=keyed(ada, once))
    assert first.status_code == 201
    keys = [{"X-API-Key": await key_with(client, ada, "write"), "Idempotency-Key": once} for _ in range(2)]
    answer = await client.post("/api/v1/api-keys", json=wanted, headers=keys[0])
    assert (answer.status_code, slug(answer)) == (403, "session-needed")
    assert first.json()["key"] not in answer.text
    made = await make(client, keys[0])
    assert made.status_code == 201, "no answer of this key's own was kept before"
    twin = await make(client, keys[1])
    assert (twin.status_code, "idempotency-replayed" in twin.headers) == (409, False)
    assert (await make(client, keys[0])).content == made.content


async def test_an_answer_is_given_again_only_after_the_checks_of_the_route(
    client: AsyncClient, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the answer were found by another kind of credential."""
    headers, wanted = keyed(ada), {"name": "secret", "scopes": ["read"]}
    assert (await client.post("/api/v1/api-keys", json=wanted, headers=headers)).status_code == 201
    key = {"X-API-Key": await key_with(client, ada, "write"), "Idempotency-Key": headers["Idempotency-Key"]}

    def shared(_: Asker, key: str) -> str:
        return key

    monkeypatch.setattr(Asker, "own", shared)
    answer = await client.post("/api/v1/api-keys", json=wanted, headers=key)
    assert (answer.status_code, slug(answer)) == (403, "session-needed")
