"""A20: a token that is wrong in any one way is refused by both services, whoever signed it."""

from dataclasses import replace

import pytest
from httpx import AsyncClient
from mill_api.settings import Settings

from tests.security.evidence import Evidence
from tests.security.forge import Forger
from tests.security.support import Estate

TESTS = "test_a20_token_confusion.py"


@pytest.fixture(scope="module")
def forger(settings: Settings, victim: Estate) -> Forger:
    return Forger.of(settings.tokens.private_key_file, victim.owner.access_token)


async def test_both_services_take_the_token_that_is_right(
    client: AsyncClient, serving: AsyncClient, forger: Forger
) -> None:
    headers = {"Authorization": f"Bearer {forger.token()}"}
    assert (await client.get("/api/v1/auth/me", headers=headers)).status_code == 200
    assert (await serving.get("/models", headers=headers)).status_code == 200


async def test_no_confused_token_is_taken(client: AsyncClient, serving: AsyncClient, forger: Forger) -> None:
    evidence = Evidence(29, "Tokens are safe: confused tokens", TESTS)
    taken: list[str] = []
    for trick, token in forger.confused().items():
        headers = {b"Authorization": b"Bearer " + token.encode()}
        for service, path in ((client, "/api/v1/auth/me"), (client, "/api/v1/users"), (serving, "/models")):
            answer = await service.get(path, headers=headers)
            evidence.count(failed=answer.status_code != 401)
            if answer.status_code != 401:
                taken.append(f"{trick} at {path}: {answer.status_code}")
    evidence.keep()
    assert taken == []


async def test_a_refresh_token_is_no_access_token_and_the_other_way_round(
    client: AsyncClient, serving: AsyncClient, victim: Estate
) -> None:
    as_access = {"Authorization": f"Bearer {victim.owner.refresh_token}"}
    assert (await client.get("/api/v1/auth/me", headers=as_access)).status_code == 401
    assert (await serving.get("/models", headers=as_access)).status_code == 401
    for secret in (victim.owner.access_token, victim.ids["key"]):
        answer = await client.post("/api/v1/auth/refresh", json={"refresh_token": secret})
        assert answer.status_code in {401, 422}, answer.text


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer\t", "Negotiate", ""])
async def test_other_schemes_are_no_credentials(client: AsyncClient, forger: Forger, scheme: str) -> None:
    answer = await client.get("/api/v1/auth/me", headers={"Authorization": f"{scheme} {forger.token()}".strip()})
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


async def test_a_token_outlives_neither_the_membership_nor_the_role_for_what_matters(
    client: AsyncClient, forger: Forger, victim: Estate, stranger: Estate
) -> None:
    """A right signature with a role that its owner never had: the database decides."""
    colleague = replace(forger, user=victim.ids["user_id"])
    outsider = replace(forger, user=str(stranger.owner.id))
    for one in (colleague, outsider):
        answer = await client.post(
            "/api/v1/users",
            json={"email": stranger.owner.email, "role": "admin"},
            headers={"Authorization": f"Bearer {one.token(role='admin')}"},
        )
        assert answer.status_code in {401, 403, 404}, answer.text


@pytest.mark.parametrize("session", [None, 1.5, "no id", [], "0197a000-0000-7000-8000-000000000000"])
async def test_a_token_of_no_sign_in_is_refused(client: AsyncClient, forger: Forger, session: object) -> None:
    """The control plane knows every sign-in that is still one."""
    answer = await client.get("/api/v1/users", headers={"Authorization": f"Bearer {forger.token(sid=session)}"})
    assert answer.status_code == 401
