"""Deploy, roll back, undeploy: what is live, what the data plane is told, and what is refused."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import AsyncClient
from mill_api.parts import Parts
from mill_api.testing import Person
from mill_contracts.routing import (
    REPLICA_KEY_PREFIX,
    SNAPSHOT_KEY,
    Policy,
    ReplicaReport,
    Route,
    RoutingSnapshot,
    SignedSnapshot,
    VersionReadiness,
    snapshot_object_key,
)
from mill_kit.signing import key_id, verify
from mill_kit.store import StoreUnavailable

Maker = Callable[..., Awaitable[dict[str, Any]]]
Finish = Callable[..., Awaitable[None]]


async def deploy(client: AsyncClient, person: Person, model: dict[str, Any], **wish: Any) -> dict[str, Any]:
    answer = await client.post(f"/api/v1/models/{model['id']}/deploy", json=wish, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def published(parts: Parts) -> RoutingSnapshot:
    """The newest snapshot, verified, as a replica would take it from Redis; the same bytes lie in the store."""
    await parts.publisher.publish()
    document = await parts.cache.get(SNAPSHOT_KEY)
    assert document is not None
    signed = SignedSnapshot.model_validate_json(document)
    public = parts.publisher.private_key.public_key()
    verify(signed.payload, signed.signature, signed.key_id, {key_id(public): public})
    snapshot = RoutingSnapshot.model_validate_json(signed.payload)
    assert parts.store.get(snapshot_object_key(snapshot.number)) == (
        document if isinstance(document, bytes) else document.encode()
    )
    return snapshot


async def routes_of(parts: Parts, model: dict[str, Any]) -> dict[int, Route]:
    return {route.version: route for route in (await published(parts)).routes if str(route.model_id) == model["id"]}


async def test_a_trained_model_goes_live_and_the_data_plane_is_told(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    model = await trained(ada)
    deployment = await deploy(client, ada, model)
    assert (deployment["version"], deployment["public"]) == (1, False)
    routes = await routes_of(parts, model)
    assert set(routes) == {1}
    assert routes[1].workspace_id == ada.workspace_id
    assert routes[1].is_default
    assert parts.store.get(routes[1].object_key, sha256=routes[1].sha256)
    shown = (await client.get(f"/api/v1/models/{model['id']}", headers=ada.headers)).json()
    assert shown["status"] == "deployed"


async def test_a_deploy_asked_for_while_training_happens_when_trained(
    client: AsyncClient, ada: Person, ask_for_training: Maker, finish_training: Finish, parts: Parts
) -> None:
    model = await ask_for_training(ada)
    asked = await deploy(client, ada, model)
    assert (asked["status"], asked["waiting_for"], asked["version"]) == ("waiting", 1, None)
    assert await routes_of(parts, model) == {}
    await finish_training(ada, model)
    assert set(await routes_of(parts, model)) == {1}


async def test_a_deploy_is_void_when_the_training_fails(
    client: AsyncClient, ada: Person, ask_for_training: Maker, finish_training: Finish, parts: Parts
) -> None:
    model = await ask_for_training(ada)
    await deploy(client, ada, model)
    await finish_training(ada, model, problem={"detail": "no"})
    answer = await client.get(f"/api/v1/models/{model['id']}/deployment", headers=ada.headers)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:modelmill:problem:not-deployed")
    refused = await client.post(f"/api/v1/models/{model['id']}/deploy", json={}, headers=ada.headers)
    assert refused.json()["type"] == "urn:modelmill:problem:cannot-deploy"
    assert await routes_of(parts, model) == {}


async def test_the_version_before_stays_at_hand_and_a_rollback_returns_to_it(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    model = await trained(ada)
    await deploy(client, ada, model)
    await trained(ada)
    second = await deploy(client, ada, model)
    assert (second["version"], second["previous_version"]) == (2, 1)
    routes = await routes_of(parts, model)
    assert (routes[1].is_default, routes[2].is_default) == (False, True)
    assert routes[2].previous_version_id == routes[1].model_version_id
    back = await client.post(f"/api/v1/models/{model['id']}/rollback", headers=ada.headers)
    assert (back.json()["version"], back.json()["previous_version"]) == (1, None)
    assert (await routes_of(parts, model))[1].is_default


async def test_a_version_that_was_rolled_back_serves_until_the_other_is_ready_but_never_comes_back(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    model = await trained(ada)
    await deploy(client, ada, model)
    await trained(ada)
    await deploy(client, ada, model)
    await client.post(f"/api/v1/models/{model['id']}/rollback", headers=ada.headers)
    refused = await client.post(f"/api/v1/models/{model['id']}/rollback", headers=ada.headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:modelmill:problem:nothing-to-roll-back-to")
    again = await deploy(client, ada, model, version=1, public=True)
    assert (again["version"], again["previous_version"]) == (1, None)
    routes = await routes_of(parts, model)
    assert (routes[1].is_default, routes[2].is_default) == (True, False)
    assert routes[1].previous_version_id == routes[2].model_version_id
    third = await trained(ada)
    assert (await deploy(client, ada, third))["previous_version"] == 1


async def test_a_project_with_a_live_model_is_deleted_only_by_force(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    model = await trained(ada, "live one")
    await trained(ada, "idle one")
    await deploy(client, ada, model)
    jobs = (await client.get("/api/v1/jobs?state=queued&state=waiting", headers=ada.headers)).json()["items"]
    for job in jobs:
        await client.post(f"/api/v1/jobs/{job['id']}/cancel", headers=ada.headers)
    path = f"/api/v1/projects/{model['project_id']}"
    refused = await client.delete(path, headers=ada.headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:modelmill:problem:project-in-use")
    assert "'live one'" in refused.json()["detail"]
    assert "idle one" not in refused.json()["detail"]
    assert set(await routes_of(parts, model)) == {1}
    forced = await client.delete(path, params={"force": True}, headers=ada.headers)
    assert forced.status_code == 200, forced.text
    assert forced.json()["contents"]["deployments"] == 1
    assert await routes_of(parts, model) == {}


async def test_without_an_earlier_version_there_is_nothing_to_roll_back_to(
    client: AsyncClient, ada: Person, trained: Maker
) -> None:
    model = await trained(ada)
    assert (await client.post(f"/api/v1/models/{model['id']}/rollback", headers=ada.headers)).status_code == 409
    await deploy(client, ada, model)
    answer = await client.post(f"/api/v1/models/{model['id']}/rollback", headers=ada.headers)
    assert answer.json()["type"] == "urn:modelmill:problem:nothing-to-roll-back-to"


async def test_undeploying_takes_the_route_away(client: AsyncClient, ada: Person, trained: Maker, parts: Parts) -> None:
    model = await trained(ada)
    await deploy(client, ada, model)
    answer = await client.post(f"/api/v1/models/{model['id']}/undeploy", headers=ada.headers)
    assert answer.json() == {"model_id": model["id"], "status": "undeployed"}
    assert await routes_of(parts, model) == {}
    again = await client.post(f"/api/v1/models/{model['id']}/undeploy", headers=ada.headers)
    assert again.status_code == 409


async def test_deploying_twice_changes_nothing(client: AsyncClient, ada: Person, trained: Maker, parts: Parts) -> None:
    model = await trained(ada)
    first, second = await deploy(client, ada, model), await deploy(client, ada, model)
    assert (first["id"], first["version"]) == (second["id"], second["version"])
    assert second["previous_version"] is None
    assert set(await routes_of(parts, model)) == {1}


async def test_a_live_model_is_neither_deleted_nor_deprecated(client: AsyncClient, ada: Person, trained: Maker) -> None:
    model = await trained(ada)
    await deploy(client, ada, model)
    deleted = await client.delete(f"/api/v1/models/{model['id']}", headers=ada.headers)
    deprecated = await client.post(f"/api/v1/models/{model['id']}/deprecate", headers=ada.headers)
    assert {deleted.json()["type"], deprecated.json()["type"]} == {"urn:modelmill:problem:model-in-use"}


async def test_a_deprecated_version_is_not_deployed_until_restored(
    client: AsyncClient, ada: Person, trained: Maker
) -> None:
    model = await trained(ada)
    deprecated = await client.post(f"/api/v1/models/{model['id']}/deprecate", headers=ada.headers)
    assert deprecated.json()["status"] == "deprecated"
    refused = await client.post(f"/api/v1/models/{model['id']}/deploy", headers=ada.headers)
    assert refused.json()["type"] == "urn:modelmill:problem:cannot-deploy"
    await client.post(f"/api/v1/models/{model['id']}/restore", headers=ada.headers)
    await deploy(client, ada, model)


async def test_status_is_what_the_replicas_say(client: AsyncClient, ada: Person, trained: Maker, parts: Parts) -> None:
    model = await trained(ada)
    deployment = await deploy(client, ada, model)
    assert deployment["status"] == "unknown"
    for states, expected in (
        (["ready", "loading"], "deploying"),
        (["ready", "ready"], "deployed"),
        (["ready", "failed"], "failed"),
    ):
        for number, state in enumerate(states):
            await report(parts, f"r{number}", deployment["model_version_id"], state)
        path = f"/api/v1/models/{model['id']}/deployment"
        shown = (await client.get(path, headers=ada.headers)).json()
        assert shown["status"] == expected
    assert [replica["reason"] for replica in shown["replicas"] if replica["state"] == "failed"] == [
        "golden rows differ"
    ]
    for number in range(2):
        await parts.cache.delete(f"{REPLICA_KEY_PREFIX}r{number}")


async def report(parts: Parts, replica: str, version_id: str, state: Any) -> None:
    said = ReplicaReport(
        replica=replica,
        address="http://127.0.0.1:1",
        number=1,
        reported_at=datetime.now(UTC),
        versions=(
            VersionReadiness.model_validate(
                {
                    "model_version_id": version_id,
                    "state": state,
                    "reason": "golden rows differ" if state == "failed" else None,
                }
            ),
        ),
    )
    await parts.cache.set(f"{REPLICA_KEY_PREFIX}{replica}", said.model_dump_json(), ex=30)


async def test_nobody_deploys_a_model_of_another_workspace(
    client: AsyncClient, ada: Person, bob: Person, trained: Maker
) -> None:
    model = await trained(ada)
    for verb in ("deploy", "undeploy", "rollback"):
        answer = await client.post(f"/api/v1/models/{model['id']}/{verb}", headers=bob.headers)
        assert answer.status_code == 404, verb


async def test_a_new_key_is_published_and_a_revoked_one_is_gone(client: AsyncClient, ada: Person, parts: Parts) -> None:
    wish = {"name": "app", "scopes": ["predict"]}
    made = (await client.post("/api/v1/api-keys", json=wish, headers=ada.headers)).json()
    assert made["id"] in {str(key.key_id) for key in (await published(parts)).api_keys}
    await client.delete(f"/api/v1/api-keys/{made['id']}", headers=ada.headers)
    snapshot = await published(parts)
    assert made["id"] not in {str(key.key_id) for key in snapshot.api_keys}
    assert json.dumps(made.get("key", "")) not in snapshot.model_dump_json()


async def test_numbers_only_rise_and_quiet_times_make_none(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    first = (await published(parts)).number
    assert (await published(parts)).number == first
    model = await trained(ada)
    await deploy(client, ada, model)
    assert (await published(parts)).number > first


async def test_a_flushed_redis_learns_the_newest_snapshot_again(parts: Parts) -> None:
    snapshot = await published(parts)
    await parts.cache.delete(SNAPSHOT_KEY)
    await parts.publisher.announce_newest()
    document = await parts.cache.get(SNAPSHOT_KEY)
    assert document is not None
    assert f'\\"number\\":{snapshot.number}' in (document if isinstance(document, str) else document.decode())


@pytest.mark.parametrize("wish", [{"version": 0}, {"version": "x"}, {"unknown": 1}], ids=str)
async def test_a_malformed_wish_is_refused(
    client: AsyncClient, ada: Person, trained: Maker, wish: dict[str, Any]
) -> None:
    model = await trained(ada)
    answer = await client.post(f"/api/v1/models/{model['id']}/deploy", json=wish, headers=ada.headers)
    assert answer.status_code == 422


async def test_a_revoked_key_is_announced_even_while_the_store_is_away(
    client: AsyncClient, ada: Person, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (
        await client.post("/api/v1/api-keys", json={"name": "a", "scopes": ["predict"]}, headers=ada.headers)
    ).json()
    before = (await published(parts)).number

    def away(key: str, data: bytes) -> None:
        raise StoreUnavailable(f"no {key} of {len(data)} bytes today")

    with monkeypatch.context() as patch:
        patch.setattr(parts.store, "put", away)
        await client.delete(f"/api/v1/api-keys/{made['id']}", headers=ada.headers)
        document = await parts.cache.get(SNAPSHOT_KEY)
        assert document is not None
        announced = RoutingSnapshot.model_validate_json(SignedSnapshot.model_validate_json(document).payload)
    assert announced.number > before
    assert made["id"] not in {str(key.key_id) for key in announced.api_keys}
    assert (await published(parts)).number >= announced.number


async def test_models_are_listed_by_the_status_of_their_latest_version(
    client: AsyncClient, ada: Person, ask_for_training: Maker, trained: Maker, finish_training: Finish
) -> None:
    await ask_for_training(ada, "training")
    await trained(ada, "trained")
    await finish_training(ada, await ask_for_training(ada, "failed"), problem={"detail": "no"})
    old = await trained(ada, "deprecated")
    await client.post(f"/api/v1/models/{old['id']}/deprecate", headers=ada.headers)
    await deploy(client, ada, await trained(ada, "deployed"))
    for status in ("training", "trained", "failed", "deprecated", "deployed"):
        answer = await client.get("/api/v1/models", params={"status": status}, headers=ada.headers)
        found = answer.json()["items"]
        assert [(model["name"], model["status"]) for model in found] == [(status, status)]
    unknown = await client.get("/api/v1/models", params={"status": "asleep"}, headers=ada.headers)
    assert unknown.status_code == 422


async def test_a_policy_is_set_value_by_value_and_the_data_plane_is_told(
    client: AsyncClient, ada: Person, trained: Maker, parts: Parts
) -> None:
    model = await trained(ada)
    first = await deploy(client, ada, model)
    assert first["policy"] == {"extra": "refuse", "missing": "refuse", "unseen": "accept"}
    assert (await routes_of(parts, model))[1].policy is None
    await deploy(client, ada, model, policy={"missing": "impute"})
    second = await deploy(client, ada, model, policy={"unseen": "refuse"})
    assert second["policy"] == {"extra": "refuse", "missing": "impute", "unseen": "refuse"}
    assert (await routes_of(parts, model))[1].policy == Policy(missing="impute", unseen="refuse")
    await trained(ada)
    third = await deploy(client, ada, model)
    assert third["policy"] == second["policy"]
    routes = await routes_of(parts, model)
    assert [routes[version].policy for version in (1, 2)] == [Policy(missing="impute", unseen="refuse")] * 2
    usual = {"missing": "refuse", "extra": "refuse", "unseen": "accept"}
    await deploy(client, ada, model, policy=usual)
    assert (await routes_of(parts, model))[2].policy is None


async def test_what_is_asked_beside_a_version_in_training_holds_at_once_for_the_one_that_serves(
    client: AsyncClient, ada: Person, trained: Maker, ask_for_training: Maker, parts: Parts
) -> None:
    model = await trained(ada)
    await deploy(client, ada, model, public=True)
    await ask_for_training(ada)
    asked = await deploy(client, ada, model, public=False, policy={"extra": "ignore"})
    assert (asked["version"], asked["waiting_for"], asked["public"]) == (1, 2, False)
    routes = await routes_of(parts, model)
    assert {version: (route.public, route.policy) for version, route in routes.items()} == {
        1: (False, Policy(extra="ignore"))
    }


@pytest.mark.parametrize("policy", [{"missing": "guess"}, {"unseen": True}, {"odd": "refuse"}, "strict"])
async def test_a_policy_nobody_knows_is_refused(client: AsyncClient, ada: Person, trained: Maker, policy: Any) -> None:
    model = await trained(ada)
    answer = await client.post(f"/api/v1/models/{model['id']}/deploy", json={"policy": policy}, headers=ada.headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/policy")
