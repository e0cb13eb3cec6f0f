"""A right that is taken away ends within a second on ml-service too, which asks nobody: measured on the whole stack."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from modelmill import Client

from tests.conftest import Stack

PROMISED_SECONDS = 1.0
LONGEST = 10.0
"""What a slow machine is given before the test fails; the median of the tries keeps the promise."""


@pytest.fixture(scope="module")
def admin(stack: Stack) -> Iterator[Client]:
    with stack.client("rights-admin") as client:
        yield client


@pytest.fixture(scope="module")
def serving(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.serving_url, trust_env=False) as client:
        yield client


def door(serving: httpx.Client, secret: str) -> int:
    """404 for who is known here, 401 for who is not: there is no such model."""
    headers = {"Authorization": f"Bearer {secret}"}
    return serving.post("/predict/no-such-model", json={"input_data": {"a": 1}}, headers=headers).status_code


def seconds_until(condition: Callable[[], bool]) -> float:
    begun = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begun < LONGEST, "the right did not end"
        time.sleep(0.01)
    return time.perf_counter() - begun


def access_token(client: Client) -> str:
    tokens = client.auth.login()
    assert tokens is not None
    return tokens.access_token


def test_a_revoked_key_is_worthless_within_a_second(admin: Client, serving: httpx.Client) -> None:
    times: list[float] = []
    for number in range(5):
        made = admin.auth.create_key(f"short-lived {number}")
        secret = made.key or ""
        seconds_until(lambda secret=secret: door(serving, secret) == 404)
        admin.auth.revoke_key(made.id)
        times.append(seconds_until(lambda secret=secret: door(serving, secret) == 401))
    assert sorted(times)[2] <= PROMISED_SECONDS, times


def test_the_token_of_a_removed_member_is_worthless_within_a_second(
    stack: Stack, admin: Client, serving: httpx.Client
) -> None:
    times: list[float] = []
    for number in range(3):
        name = f"removed-{number}"
        with stack.client(name, serving=False) as member:
            added = admin.members.add(f"{name}@example.com")
            member.auth.login()
            member.workspaces.switch(str(admin.auth.me().workspace_id))
            token = _header(member)
            assert door(serving, token) == 404
            admin.members.remove(added.user_id)
            times.append(seconds_until(lambda token=token: door(serving, token) == 401))
            headers = {"Authorization": f"Bearer {token}"}
            refused = httpx.get(f"{stack.api_url}/api/v1/projects", headers=headers, trust_env=False)
            assert refused.status_code == 401, "and on the api-server at once"
    assert sorted(times)[1] <= PROMISED_SECONDS, times


def test_signing_out_everywhere_ends_the_tokens_of_other_devices(stack: Stack, serving: httpx.Client) -> None:
    with stack.client("everywhere", serving=False) as one:
        tokens = [access_token(one) for _ in range(2)]
        assert [door(serving, token) for token in tokens] == [404, 404]
        one.auth.logout_everywhere()
        for token in tokens:
            assert seconds_until(lambda token=token: door(serving, token) == 401) <= LONGEST
        assert door(serving, access_token(one)) == 404, "a new sign-in is a new right"


def _header(client: Client) -> str:
    identity: Any = client.auth._identity  # pyright: ignore[reportPrivateUsage] - the token itself is what is tried
    return identity.header(None)["Authorization"].removeprefix("Bearer ")
