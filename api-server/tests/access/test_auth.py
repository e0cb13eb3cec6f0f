"""Signing up, in, and out, over HTTP."""

from httpx import AsyncClient
from mill_api.testing import PASSWORD, Person

WANTED = {"email": "New@Example.com", "username": "New.Person", "password": PASSWORD, "full_name": "New Person"}


async def test_registering_makes_a_user_who_is_admin_of_a_personal_workspace(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/register/", json=WANTED)
    assert answer.status_code == 201
    assert answer.json()["email"] == "new@example.com"
    assert "password" not in answer.text
    tokens = await client.post("/api/v1/auth/token", data={"username": "new.person", "password": PASSWORD})
    assert tokens.status_code == 200
    assert tokens.json()["token_type"] == "bearer"
    assert 0 < tokens.json()["expires_in"] <= 900
    me = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {tokens.json()['access_token']}"})
    assert me.json()["role"] == "admin"


async def test_me_needs_a_token(client: AsyncClient) -> None:
    answer = await client.get("/api/v1/auth/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_refresh_token_gives_a_new_pair_once(client: AsyncClient, ada: Person) -> None:
    first = await client.post("/api/v1/auth/refresh", json={"refresh_token": ada.refresh_token})
    assert first.status_code == 200
    again = await client.post("/api/v1/auth/refresh", json={"refresh_token": ada.refresh_token})
    assert again.status_code == 401
    assert again.json()["type"].endswith("refresh-token-used")
