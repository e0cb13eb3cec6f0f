"""A2: what is too short, too long or on everybody's list is no password; long ones and any alphabet are welcome."""

from itertools import product
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from mill_api.settings import is_weak

COMMON = [
    f"{word}{end}"
    for word, end in product(
        (
            "password",
            "qwerty",
            "letmein",
            "iloveyou",
            "welcome",
            "football",
            "sunshine",
            "princess",
            "superman",
            "baseball",
        ),
        ("", "1", "12", "123"),
    )
] + [
    "12345678",
    "123456789",
    "1234567890",
    "11111111",
    "qwertyuiop",
    "1q2w3e4r",
    "1qaz2wsx",
    "abcd1234",
    "aaaaaaaa",
    "trustno1",
]


async def register(client: AsyncClient, password: object) -> Response:
    name = f"weak-{uuid4().hex[:10]}"
    body = {"email": f"{name}@example.com", "username": name, "password": password}
    return await client.post("/api/v1/auth/register", json=body)


@pytest.mark.parametrize(
    "password", ["", "a", "1234567", " " * 7, None, 12345678, [], {}, True, "x" * 5_000, "nul\x00inside", "half \ud800"]
)
async def test_what_is_no_password_is_refused(client: AsyncClient, password: object) -> None:
    if isinstance(password, str) and "\ud800" in password:
        body = b'{"email":"h@example.com","username":"half-a-character","password":"half \\ud800 of it"}'
        answer = await client.post("/api/v1/auth/register", content=body, headers={"Content-Type": "application/json"})
    else:
        answer = await register(client, password)
    assert answer.status_code == 422, answer.text
    if isinstance(password, str) and len(password) > 4:
        assert password not in answer.text


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "x7" + "y" * 62,
        "ü" * 9 + "ß-ohne-Sinn",
        "пароль-из-многих-слов",
        "パスワードは長いほど良い",
        "🚀🌍🎉🐍 rocket fuel",
        "a" * 10 + "b" * 800,
    ],
)
async def test_long_ones_and_any_alphabet_are_taken_and_let_their_owner_in(client: AsyncClient, password: str) -> None:
    made = await register(client, password)
    assert made.status_code == 201, made.text
    name = made.json()["username"]
    inside = await client.post("/api/v1/auth/token", data={"username": name, "password": password})
    assert inside.status_code == 200
    for wrong in (
        password[:-1],
        password + " ",
        password.swapcase() if password.swapcase() != password else password + "x",
    ):
        assert (await client.post("/api/v1/auth/token", data={"username": name, "password": wrong})).status_code == 401


async def test_what_everybody_tries_first_is_refused(client: AsyncClient) -> None:
    taken = [one for one in COMMON if len(one) >= 8 and (await register(client, one)).status_code != 422]
    assert taken == []


async def test_nobody_gets_in_with_nothing(client: AsyncClient) -> None:
    made = await register(client, "correct horse battery staple")
    name = made.json()["username"]
    for form in (
        {},
        {"username": name},
        {"username": name, "password": ""},
        {"password": "x"},
        {"username": "", "password": ""},
    ):
        assert (await client.post("/api/v1/auth/token", data=form)).status_code in {401, 422}


def test_no_secret_of_the_installation_may_be_weak() -> None:
    for secret in (
        "",
        "admin",
        "password",
        "changeme-please",
        "minioadminminioadmin",
        "postgres-postgres",
        "short",
        "modelmill-secret",
    ):
        assert is_weak(secret), secret
    assert not is_weak("5f2c9d1e7a3b48f6a0d4c8e1")
