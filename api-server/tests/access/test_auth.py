"""Signing up, in, and out, over HTTP."""

import asyncio
import os
import statistics
import time
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from mill_api.access.endpoints import auth_service
from mill_api.access.errors import WrongPassword
from mill_api.access.password_rules import PasswordRules
from mill_api.access.passwords import Passwords
from mill_api.access.throttle import Throttle
from mill_api.parts import Parts
from mill_api.testing import PASSWORD, Person, sign_in
from sqlalchemy import text

AUTH = "/api/v1/auth"


def wanted(**changes: Any) -> dict[str, Any]:
    name = f"New.Person-{uuid4().hex[:8]}"
    return {"email": f"{name}@Example.com", "username": name, "password": PASSWORD, "full_name": "New Person"} | changes


async def refresh(client: AsyncClient, token: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"{AUTH}/refresh", json={"refresh_token": token})
    return answer.status_code, answer.json()


async def test_registering_makes_a_user_who_is_admin_of_a_personal_workspace(client: AsyncClient) -> None:
    form = wanted()
    answer = await client.post(f"{AUTH}/register/", json=form)
    assert answer.status_code == 201
    assert answer.json()["email"] == form["email"].lower()
    assert answer.json()["username"] == form["username"]
    assert PASSWORD not in answer.text
    tokens = await client.post(f"{AUTH}/token", data={"username": form["username"].lower(), "password": PASSWORD})
    assert tokens.status_code == 200
    assert tokens.json()["token_type"] == "bearer"
    assert 0 < tokens.json()["expires_in"] <= 900
    headers = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    assert (await client.get(f"{AUTH}/me", headers=headers)).json()["role"] == "admin"
    workspaces = (await client.get("/api/v1/workspaces", headers=headers)).json()["items"]
    assert [place["personal"] for place in workspaces] == [True]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"role": "admin"}, "/role"),
        ({"password": "seven77"}, "/password"),
        ({"password": "x" * 2000}, "/password"),
        ({"email": "nobody"}, "/email"),
        ({"email": "a\x00b@example.com"}, "/email"),
        ({"username": "with space"}, "/username"),
        ({"username": "an@address"}, "/username"),
        ({"full_name": "line\nbreak"}, "/full_name"),
    ],
)
async def test_a_registration_is_refused_by_field(client: AsyncClient, change: dict[str, Any], pointer: str) -> None:
    answer = await client.post(f"{AUTH}/register", json=wanted(**change))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "seven77" not in answer.text


async def test_an_address_and_a_username_register_once(client: AsyncClient, ada: Person) -> None:
    address = await client.post(f"{AUTH}/register", json=wanted(email=ada.email.upper()))
    assert (address.status_code, address.json()["type"].rpartition(":")[2]) == (409, "email-taken")
    username = await client.post(f"{AUTH}/register", json=wanted(username=ada.username.upper()))
    assert (username.status_code, username.json()["type"].rpartition(":")[2]) == (409, "username-taken")


async def test_one_signs_in_with_the_email_address_too(client: AsyncClient, ada: Person) -> None:
    answer = await client.post(f"{AUTH}/token", data={"username": ada.email, "password": PASSWORD})
    assert answer.status_code == 200


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(client: AsyncClient, ada: Person) -> None:
    wrong = await client.post(f"{AUTH}/token", data={"username": ada.username, "password": "not the password"})
    unknown = await client.post(f"{AUTH}/token", data={"username": "nobody-at-all", "password": "not the password"})
    odd = await client.post(f"{AUTH}/token", data={"username": "nul\x00l", "password": "x"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}
    assert odd.status_code == 422


async def test_guessing_is_slowed_down_for_one_account_from_one_address(
    app: FastAPI, client: AsyncClient, ada: Person, bob: Person
) -> None:
    async def guess(who: Person, secret: str) -> Response:
        return await client.post(f"{AUTH}/token", data={"username": who.username, "password": secret})

    statuses = [(await guess(ada, "a wrong guess")).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    locked = await guess(ada, PASSWORD)
    assert (locked.status_code, locked.json()["type"].rpartition(":")[2]) == (429, "too-many-attempts")
    assert 0 < int(locked.headers["retry-after"]) <= 60
    assert (await guess(bob, PASSWORD)).status_code == 200
    elsewhere = ASGITransport(app, client=("192.0.2.7", 1))
    async with AsyncClient(transport=elsewhere, base_url="http://modelmill.test") as other:
        form = {"username": ada.username, "password": PASSWORD}
        assert (await other.post(f"{AUTH}/token", data=form)).status_code == 200


async def test_signing_in_many_times_is_not_guessing(client: AsyncClient, ada: Person) -> None:
    form = {"username": ada.username, "password": PASSWORD}
    assert {(await client.post(f"{AUTH}/token", data=form)).status_code for _ in range(12)} == {200}


async def test_me_needs_a_token(client: AsyncClient) -> None:
    answer = await client.get(f"{AUTH}/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_of_many_refreshes_at_once_one_gets_the_new_pair(client: AsyncClient, ada: Person) -> None:
    answers = await asyncio.gather(*(refresh(client, ada.refresh_token) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] + [401] * 19
    pair = next(body for status, body in answers if status == 200)
    assert {body["type"].rpartition(":")[2] for status, body in answers if status == 401} == {"refresh-token-used"}
    status, _ = await refresh(client, pair["refresh_token"])
    assert status == 200, "the grace spares the family"


async def test_a_used_token_that_comes_back_later_ends_the_family(
    client: AsyncClient, ada: Person, parts: Parts
) -> None:
    _, pair = await refresh(client, ada.refresh_token)
    await _age_used_tokens(parts, ada)
    status, body = await refresh(client, ada.refresh_token)
    assert (status, body["type"].rpartition(":")[2]) == (401, "invalid-refresh-token")
    status, _ = await refresh(client, pair["refresh_token"])
    assert status == 401


async def test_signing_out_ends_the_family(client: AsyncClient, ada: Person) -> None:
    _, pair = await refresh(client, ada.refresh_token)
    for token in (pair["refresh_token"], pair["refresh_token"], "never ours"):
        assert (await client.post(f"{AUTH}/logout", json={"refresh_token": token})).status_code == 204
    status, _ = await refresh(client, pair["refresh_token"])
    assert status == 401


async def test_no_secret_is_stored_in_the_clear(client: AsyncClient, ada: Person, parts: Parts) -> None:
    async with parts.database.reading() as session:
        hashed = await session.scalar(text("SELECT password_hash FROM credentials WHERE user_id = :u"), {"u": ada.id})
        tokens = (await session.scalars(text("SELECT sha256 FROM refresh_tokens"))).all()
    assert isinstance(hashed, str)
    assert hashed.startswith("$argon2id$")
    assert ada.refresh_token not in tokens


async def test_a_new_password_needs_the_old_one_and_ends_other_sign_ins(client: AsyncClient, ada: Person) -> None:
    path, new = "/api/v1/users/me", {"password": "a much better one"}
    assert (await client.patch(path, json=new, headers=ada.headers)).status_code == 401
    answer = await client.patch(path, json=new | {"current_password": PASSWORD}, headers=ada.headers)
    assert answer.status_code == 200, answer.text
    assert (await refresh(client, ada.refresh_token))[0] == 401
    old = await client.post(f"{AUTH}/token", data={"username": ada.username, "password": PASSWORD})
    assert old.status_code == 401
    fresh = await client.post(f"{AUTH}/token", data={"username": ada.username, "password": new["password"]})
    assert fresh.status_code == 200


async def _age_used_tokens(parts: Parts, person: Person) -> None:
    statement = text(
        "UPDATE refresh_tokens SET rotated_at = rotated_at - interval '1 hour'"
        " WHERE family_id IN (SELECT id FROM refresh_families WHERE user_id = :user)"
    )
    async with parts.database.writing() as work:
        await work.session.execute(statement, {"user": person.id})


async def test_of_a_hundred_refreshes_at_once_one_gets_a_pair_and_the_user_stays(
    client: AsyncClient, ada: Person
) -> None:
    answers = await asyncio.gather(*(refresh(client, ada.refresh_token) for _ in range(100)))
    assert sorted(status for status, _ in answers) == [200] + [401] * 99
    pair = next(body for status, body in answers if status == 200)
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert (await client.get(f"{AUTH}/me", headers=headers)).status_code == 200
    assert (await refresh(client, pair["refresh_token"]))[0] == 200


async def test_the_end_of_a_family_ends_its_access_tokens_too(client: AsyncClient, ada: Person, parts: Parts) -> None:
    _, pair = await refresh(client, ada.refresh_token)
    assert (await client.get(f"{AUTH}/me", headers=ada.headers)).status_code == 200
    await _age_used_tokens(parts, ada)
    await refresh(client, ada.refresh_token)
    for token in (ada.access_token, pair["access_token"]):
        refused = await client.get(f"{AUTH}/me", headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (401, "invalid-token")


async def test_signing_out_everywhere_ends_every_sign_in_and_no_key(client: AsyncClient, ada: Person) -> None:
    elsewhere = await sign_in(client, ada.username)
    key = await client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}, headers=ada.headers)
    assert (await client.post(f"{AUTH}/logout-everywhere", headers=ada.headers)).status_code == 204
    for person in (ada, elsewhere):
        assert (await client.get(f"{AUTH}/me", headers=person.headers)).status_code == 401
        assert (await refresh(client, person.refresh_token))[0] == 401
    assert (await client.get("/api/v1/projects", headers={"X-API-Key": key.json()["key"]})).status_code == 200
    assert (await sign_in(client, ada.username)).id == ada.id


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "PASSWORD-2026!!",
        "qwertyqwerty",
        "aaaaaaaaaaaa",
        "abcabcabcabcabc",
        "Modelmill-2026",
        "eleven char",
    ],
)
async def test_what_is_guessed_first_is_no_password(client: AsyncClient, password: str) -> None:
    answer = await client.post(f"{AUTH}/register", json=wanted(password=password))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/password"]


async def test_a_password_holds_no_name_of_its_owner(client: AsyncClient, ada: Person) -> None:
    form = wanted()
    own = await client.post(f"{AUTH}/register", json=form | {"password": f"{form['username']}-{form['username']}"})
    assert own.json()["type"].rpartition(":")[2] == "weak-password"
    change = {"password": f"xx{ada.username.upper()}xx", "current_password": PASSWORD}
    assert (await client.patch("/api/v1/users/me", json=change, headers=ada.headers)).status_code == 422


async def test_every_common_password_is_refused_whatever_hangs_around_it() -> None:
    rules = PasswordRules.load()
    assert len(rules.common) >= 19_000
    for word in sorted(rules.common):
        assert rules.refusal(word) is not None, word
        if word[0].isalpha() and word[-1].isalpha() and len(word) >= 8:
            assert rules.refusal(f"{word}2026!") is not None, word


async def test_username_and_address_are_one_account_for_a_guesser(client: AsyncClient, ada: Person) -> None:
    names = [ada.username, ada.email] * 6
    tries = [await client.post(f"{AUTH}/token", data={"username": name, "password": "guess"}) for name in names]
    assert [answer.status_code for answer in tries] == [401] * 10 + [429] * 2


async def test_an_unknown_user_takes_as_long_as_a_wrong_password(
    client: AsyncClient, ada: Person, parts: Parts
) -> None:
    """Interleaved, and compared by medians: a slow machine slows both. The long form asks for the promised 5 %."""
    rounds = int(os.environ.get("MILL_TIMING_ROUNDS", "60"))
    slow = replace(auth_service(cast(Any, parts)), passwords=Passwords(), throttle=Throttle(parts.cache, 10**9))
    await slow.sign_in(ada.username, PASSWORD, None, "192.0.2.1")  # renews her hash, which the tests' quick hasher made
    times: dict[str, list[float]] = {ada.username: [], "nobody-of-this-name": []}
    for _ in range(rounds):
        for name, spent in times.items():
            begun = time.perf_counter()
            with pytest.raises(WrongPassword):
                await slow.sign_in(name, "not the password", None, "192.0.2.1")
            spent.append(time.perf_counter() - begun)
    slow.passwords.close()
    known, unknown = (statistics.median(spent) for spent in times.values())
    assert abs(known - unknown) / known < (0.05 if rounds >= 1000 else 0.25), (known, unknown)
