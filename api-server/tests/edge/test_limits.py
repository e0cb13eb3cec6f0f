"""Rate limits, counted in a real Valkey and without it."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from mill_api.edge.limits import Counting
from mill_api.parts import Parts
from mill_api.testing import Person, register
from mill_kit.gcra import Bucket, LocalBuckets, Rate

MakeClient = Callable[..., AbstractAsyncContextManager[AsyncClient]]
TIGHT: dict[str, Any] = {"enabled": True, "per_minute": 6, "burst": 5}
NOBODY = "redis://:none@127.0.0.1:9/0"


async def statuses(client: AsyncClient, count: int, path: str = "/api/v1/projects", **headers: str) -> list[int]:
    answers = await asyncio.gather(*(client.get(path, headers=headers) for _ in range(count)))
    return sorted(answer.status_code for answer in answers)


def seconds(answer: Response, name: str) -> int:
    return int(answer.headers[name])


async def test_a_burst_is_let_through_and_the_rest_is_refused_with_a_time(serving: MakeClient) -> None:
    async with serving(limits=TIGHT) as client:
        assert await statuses(client, 20) == [401] * 5 + [429] * 15
        refused = await client.get("/api/v1/projects")
        assert refused.json()["type"] == "urn:modelmill:problem:too-many-requests"
        assert 1 <= seconds(refused, "retry-after") <= 10
        assert refused.headers["ratelimit-remaining"] == refused.headers["x-ratelimit-remaining"] == "0"
        assert refused.headers["ratelimit-limit"] == "5"
        assert refused.headers["ratelimit-policy"] == '6;w=60;burst=5;name="address"'
        assert 40 <= seconds(refused, "ratelimit-reset") <= 50
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert refused.headers["x-request-id"] == refused.json()["request_id"]


async def test_the_limits_by_default_are_sixty_a_minute_and_a_hundred_at_once(serving: MakeClient) -> None:
    async with serving(limits={"enabled": True}) as client:
        answer = await client.get("/api/v1/projects")
        assert answer.headers["ratelimit-policy"].startswith("60;w=60;burst=100;")
        assert answer.headers["ratelimit-remaining"] == "99"


async def test_health_and_metrics_are_never_counted(serving: MakeClient) -> None:
    async with serving(limits=TIGHT) as client:
        for path in ("/health", "/health/ready", "/metrics"):
            assert await statuses(client, 10, path) == [200] * 10
        assert "ratelimit-limit" not in (await client.get("/health")).headers


async def test_each_user_has_a_bucket_of_their_own_wherever_they_come_from(serving: MakeClient) -> None:
    async with serving(limits=TIGHT | {"burst": 8}) as client:
        ada = await register(client, "ada")
        # registering and signing in took two of the address's
        assert await statuses(client, 10) == [401] * 6 + [429] * 4
        found = await statuses(client, 10, **ada.headers)
        assert found == [200] * 7 + [429] * 3  # and signing in asked once who she is
        answer = await client.get("/api/v1/projects", headers=ada.headers)
        assert 'name="user"' in answer.headers["ratelimit-policy"]


async def test_a_key_has_a_bucket_of_its_own_once_it_was_let_in(
    serving: MakeClient, client: AsyncClient, ada: Person
) -> None:
    wanted = {"name": "k", "scopes": ["read"]}
    key = (await client.post("/api/v1/api-keys", json=wanted, headers=ada.headers)).json()["key"]
    async with serving(limits=TIGHT) as limited:
        first = await limited.get("/api/v1/projects", headers={"X-API-Key": key})
        assert 'name="address"' in first.headers["ratelimit-policy"]
        second = await limited.get("/api/v1/projects", headers={"X-API-Key": key})
        assert 'name="key"' in second.headers["ratelimit-policy"]
        assert second.headers["ratelimit-remaining"] == "4"


async def test_who_guesses_keys_or_tokens_empties_the_bucket_of_the_own_address(serving: MakeClient) -> None:
    async with serving(limits=TIGHT) as client:
        guesses = [{"X-API-Key": f"mm_{number:043d}"} for number in range(6)]
        guesses += [{"Authorization": f"Bearer ey.{number}.x"} for number in range(6)]
        answers = [(await client.get("/api/v1/projects", headers=guess)).status_code for guess in guesses]
        assert answers == [401] * 5 + [429] * 7


async def test_a_workspace_has_a_limit_over_all_its_users(serving: MakeClient, ada: Person) -> None:
    async with serving(limits={"enabled": True, "workspace_per_minute": 6, "workspace_burst": 3}) as client:
        assert await statuses(client, 5, **ada.headers) == [200] * 3 + [429] * 2
        answer = await client.get("/api/v1/projects", headers=ada.headers)
        assert 'name="workspace"' in answer.headers["ratelimit-policy"]


async def test_predictions_have_a_limit_of_their_own(serving: MakeClient, ada: Person) -> None:
    wish: dict[str, Any] = {"model": "nothing", "input_data": {}}
    async with serving(limits=TIGHT | {"predictions_burst": 50}) as client:
        assert await statuses(client, 8, **ada.headers) == [200] * 5 + [429] * 3
        answer = await client.post("/api/v1/predictions", json=wish, headers=ada.headers)
        assert answer.status_code != 429
        assert answer.headers["ratelimit-limit"] == "50"


async def test_all_servers_share_the_buckets(serving: MakeClient) -> None:
    async with (
        serving(address="203.0.113.200", limits=TIGHT) as one,
        serving(address="203.0.113.200", limits=TIGHT) as two,
    ):
        assert await statuses(one, 3) == [401] * 3
        assert await statuses(two, 4) == [401] * 2 + [429] * 2


async def test_without_the_cache_every_server_counts_for_itself(serving: MakeClient) -> None:
    async with serving(limits=TIGHT, cache={"url": NOBODY}) as client:
        assert [(await client.get("/api/v1/projects")).status_code for _ in range(8)] == [401] * 5 + [429] * 3


def test_what_is_remembered_without_the_cache_is_bounded() -> None:
    local = LocalBuckets(most=100)
    for number in range(10_000):
        local.take([Bucket("address", f"a{number}", Rate(60, 5))])
    assert len(local) == 100


def test_a_bucket_fills_again_at_its_rate() -> None:
    now = 100.0
    local, bucket = LocalBuckets(10, clock=lambda: now), Bucket("address", "a", Rate(per_minute=60, burst=3))
    assert [local.take([bucket])[0].refused for _ in range(4)] == [False, False, False, True]
    now += 0.9
    assert local.take([bucket])[0].refused
    now += 0.2
    assert not local.take([bucket])[0].refused
    assert local.take([bucket])[0].retry_after == 1
    now += 3600
    assert [local.take([bucket])[0].remaining for _ in range(3)] == [2, 1, 0]


def test_a_refusal_takes_nothing_from_the_other_bucket() -> None:
    local = LocalBuckets(10, clock=lambda: 5.0)
    empty, full = Bucket("user", "u", Rate(60, 1)), Bucket("workspace", "w", Rate(60, 10))
    local.take([empty, full])
    for _ in range(5):
        assert [level.refused for level in local.take([empty, full])] == [True, False]
    assert local.take([full])[0].remaining == 8


@pytest.mark.parametrize(
    ("one", "other", "same"), [("2001:db8::1", "2001:db8::ffff", True), ("2001:db8::1", "2001:db9::1", False)]
)
async def test_a_network_of_ipv6_counts_as_one_address(serving: MakeClient, one: str, other: str, same: bool) -> None:
    limits = TIGHT | {"burst": 3 if same else 4}
    async with serving(address=one, limits=limits) as first, serving(address=other, limits=limits) as second:
        await statuses(first, 2)
        remaining = (await second.get("/api/v1/projects")).headers["ratelimit-remaining"]
        assert (remaining == "0") == same


async def test_who_was_refused_is_refused_without_asking_again_until_there_is_a_token(parts: Parts) -> None:
    counting = Counting({}, LocalBuckets(100))
    bucket = Bucket("key", f"mill:limit:test:{uuid4()}", Rate(120, 3))

    async def scripts() -> int:
        cache: Any = parts.cache
        told: dict[str, dict[str, int]] = await cache.execute_command("INFO", "commandstats")
        return told.get("cmdstat_evalsha", {}).get("calls", 0)

    async def through() -> bool:
        return not any(level.refused for level in await counting.take(parts.cache, [bucket]))

    assert [await through() for _ in range(4)] == [True] * 3 + [False]
    before, begun = await scripts(), time.monotonic()
    while not await through():
        assert time.monotonic() - begun < 5
        await asyncio.sleep(0.005)
    assert 0.2 < time.monotonic() - begun < 2, "half a second for a token"
    assert await scripts() - before <= 3
