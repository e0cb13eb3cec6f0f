"""Numbers and characters that PostgreSQL cannot keep are refused at their place, wherever they come in."""

from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.db import Database
from mill_api.parts import Parts
from mill_api.settings import Settings
from mill_api.testing import PASSWORD, Person
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

JSON = {"Content-Type": "application/json"}
ANY = uuid4()
TOO_LARGE = [2**31, 2**63, 10**30]


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ('{"a": NaN}', "/input_data/a"),
        ('{"a": 1, "b": [1, -Infinity]}', "/input_data/b/1"),
        ('{"a": 1e999}', "/input_data/a"),
        ('{"a": "\\ud800"}', "/input_data/a"),
        ('{"a": {"b": "x\\u0000"}}', "/input_data/a/b"),
        ('{"a\\u0000": 1}', "/input_data/a\0"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "/input_data/a"),
    ],
)
async def test_a_row_that_cannot_be_kept_is_refused_at_its_place(
    client: AsyncClient, ada: Person, row: str, pointer: str
) -> None:
    body = f'{{"model": "m", "input_data": {row}}}'
    answer = await client.post("/api/v1/predictions", content=body, headers=ada.headers | JSON)
    assert pointers(answer) == [pointer]


@pytest.mark.parametrize("row", ['{"\\ud800": 1}', '{}, "\\udfff": 2'])
async def test_half_a_character_in_the_name_of_a_field_does_not_break_the_answer(
    client: AsyncClient, ada: Person, row: str
) -> None:
    body = f'{{"model": "m", "input_data": {row}}}'
    answer = await client.post("/api/v1/predictions", content=body, headers=ada.headers | JSON)
    assert len(pointers(answer)) == 1


@pytest.mark.parametrize("number", [0, *TOO_LARGE])
@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/api/v1/datasets/{id}/versions/{n}", "/path/version"),
        ("/api/v1/datasets/{id}/preview?version={n}", "/query/version"),
        ("/api/v1/models/{id}/versions/{n}", "/path/version"),
        ("/api/v1/models/{id}/package?version={n}", "/query/version"),
    ],
)
async def test_a_version_in_an_address_fits_its_column(
    client: AsyncClient, ada: Person, path: str, pointer: str, number: int
) -> None:
    assert pointers(await client.get(path.format(id=ANY, n=number), headers=ada.headers)) == [pointer]


@pytest.mark.parametrize("number", TOO_LARGE)
async def test_a_version_in_a_body_fits_its_column(client: AsyncClient, ada: Person, number: int) -> None:
    deploy = await client.post(f"/api/v1/models/{ANY}/deploy", json={"version": number}, headers=ada.headers)
    assert pointers(deploy) == ["/version"]
    wish = {"dataset_id": str(ANY), "dataset_version": number, "version": number}
    batch = await client.post(f"/api/v1/models/{ANY}/batch-predictions", json=wish, headers=ada.headers)
    assert pointers(batch) == ["/dataset_version", "/version"]
    upload = await client.post(
        f"/api/v1/models/{ANY}/batch-predictions/upload",
        data={"version": str(number)},
        files={"file": ("a.csv", b"a\n1\n")},
        headers=ada.headers,
    )
    assert pointers(upload) == ["/version"]


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ('"class_labels": {"a\\u0000": "x"}', "/class_labels/a\0"),
        ('"class_labels": {"a": "\\ud800"}', "/class_labels/a"),
        ('"class_labels": {"a": ""}', "/class_labels/a"),
        ('"positive_class": "\\u0000"', "/positive_class"),
        ('"target": "\\u0000"', "/target"),
        ('"features": ["a", "\\ud800"]', "/features/1"),
        ('"exclude": ["\\u0000"]', "/exclude/0"),
        (
            '"preprocessing": {"derived": [{"name": "x", "expression": "a\\u0000"}]}',
            "/preprocessing/derived/0/expression",
        ),
        ('"preprocessing": {"derived": [{"name": "\\ud800", "expression": "a"}]}', "/preprocessing/derived/0/name"),
        ('"parameters": {"eta": NaN}', "/parameters/eta"),
        (f'"dataset_version": {2**31}', "/dataset_version"),
    ],
)
async def test_a_wish_for_a_model_holds_only_what_can_be_kept(
    client: AsyncClient, ada: Person, field: str, pointer: str
) -> None:
    plain = f'"name": "m", "project_id": "{ANY}", "dataset_id": "{ANY}"'
    body = f'{{{plain}, "model_type": "classification", "framework": "xgboost", {field}}}'
    answer = await client.post("/api/v1/models", content=body, headers=ada.headers | JSON)
    assert pointers(answer) == [pointer]


async def test_a_password_is_whole_characters(client: AsyncClient, ada: Person) -> None:
    body = '{"email": "x@example.com", "username": "xenia", "password": "eight\\ud800chars"}'
    assert pointers(await client.post("/api/v1/auth/register", content=body, headers=JSON)) == ["/password"]
    for pair in (
        f'"password": "eight\\ud800chars", "current_password": "{PASSWORD}"',
        '"password": "eight chars", "current_password": "\\ud800"',
    ):
        answer = await client.patch("/api/v1/users/me", content=f"{{{pair}}}", headers=ada.headers | JSON)
        assert pointers(answer)[0].endswith("password")


async def test_an_unknown_refresh_token_is_only_that(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/refresh", content='{"refresh_token": "\\ud800"}', headers=JSON)
    assert pointers(answer) == ["/refresh_token"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("text", "\0"), ("text", "\ud800"), ("int", 2**70), ("json", {"a": "\0"}), ("json", {"a": "\ud800"})],
    ids=ascii,
)
async def test_what_got_past_the_schemas_is_still_refused(
    parts: Parts, settings: Settings, kind: str, value: object
) -> None:
    careless = create_app(settings)
    _careless_route(careless, parts.database, kind, value)
    async with AsyncClient(transport=ASGITransport(careless), base_url="http://modelmill.test") as client:
        answer = await client.get("/careless")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:modelmill:problem:invalid")


def _careless_route(app: FastAPI, database: Database, kind: str, value: object) -> None:
    statement = (
        text("SELECT :value").bindparams(bindparam("value", type_=JSONB))
        if kind == "json"
        else text(f"SELECT CAST(:value AS {kind})")
    )

    @app.get("/careless")
    async def careless() -> None:  # pyright: ignore[reportUnusedFunction]
        async with database.reading() as session:
            await session.execute(statement, {"value": value})
