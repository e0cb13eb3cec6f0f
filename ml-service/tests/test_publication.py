"""Snapshots, rollout and outages: what serves when, on a running service with the folder store and Valkey."""
# pyright: reportUnknownMemberType=false
# redis-py leaves some keyword arguments untyped.

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import redis
from mill_contracts.ids import new_id
from mill_contracts.routing import SNAPSHOT_CHANNEL, SNAPSHOT_KEY, snapshot_object_key
from mill_kit import signing
from mill_local.valkey import CACHE, ValkeyServer

WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
OTHER = UUID("019a0000-0000-7000-8000-000000000002")


def served(replica: Any, model: str, key: str) -> int | None:
    answer = replica.predict(model, key)
    return answer.json()["metadata"]["version"] if answer.status_code == 200 else None


def states(report: Any) -> dict[UUID, str]:
    return {version.model_version_id: version.state for version in report.versions} if report else {}


def test_a_published_model_is_served_and_reported_ready(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any, cache: Any, read_report: Any
) -> None:
    package = build("income")
    control.routes = [control.route(package, WORKSPACE)]
    key = control.api_key(WORKSPACE)
    with start(redis_url=valkey.url) as replica:
        assert replica.http.get("/health/ready").status_code == 503
        control.publish()
        reach(lambda: replica.http.get("/health/ready").status_code == 200)
        assert reach(lambda: served(replica, "income", key)) == 1
        reach(lambda: states(read_report(cache)) == {package.version_id: "ready"})
        assert read_report(cache).number == 1
        assert 0 < cache.ttl("mill:replica:replica-1") <= 10
        listed = replica.http.get("/models", headers={"authorization": f"Bearer {key}"}).json()["models"]
        assert [model["name"] for model in listed] == ["income"]
        assert replica.http.get("/models").json()["total"] == 0
        assert replica.stop() == 0
    assert read_report(cache) is None


def test_a_version_that_fails_leaves_the_previous_one_serving(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any, cache: Any, read_report: Any
) -> None:
    old = build("income", version=1)
    new = build("income", version=2, model_id=old.model_id)
    key = control.api_key(WORKSPACE)
    first = control.route(old, WORKSPACE)
    control.routes = [first]
    control.publish()
    with start(redis_url=valkey.url) as replica:
        assert reach(lambda: served(replica, "income", key)) == 1
        broken = control.route(new, WORKSPACE, previous_version_id=old.version_id)
        path = control.folder / "objects" / broken.object_key
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        control.routes = [broken, first.model_copy(update={"is_default": False})]
        control.publish()
        reach(lambda: states(read_report(cache)).get(new.version_id) == "failed")
        assert states(read_report(cache))[old.version_id] == "ready"
        reason = next(v.reason for v in read_report(cache).versions if v.model_version_id == new.version_id)
        assert "differs from what was written" in reason
        assert served(replica, "income", key) == 1
        path.write_bytes(whole)
        reach(lambda: served(replica, "income", key) == 2)
        assert served(replica, "income@1", key) == 1
        reach(lambda: states(read_report(cache)).get(new.version_id) == "ready")


def test_only_our_signature_is_believed_and_never_a_lower_number(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any, cache: Any
) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    with start(redis_url=valkey.url) as replica:
        control.publish(cache)
        control.publish(cache)
        reach(lambda: replica.number() == 2)
        forged = control.signed(9, signing.new_key_pair())
        cache.set(SNAPSHOT_KEY, forged)
        cache.publish(SNAPSHOT_CHANNEL, forged)
        control.store.put(snapshot_object_key(9), forged)
        control.store.put(snapshot_object_key(3), control.signed(7))
        lower = control.signed(1)
        cache.publish(SNAPSHOT_CHANNEL, lower)
        reach(lambda: replica.metric("snapshot_rejected_total") >= 3)
        assert replica.number() == 2
        control.number = 10
        control.publish()
        reach(lambda: replica.number() == 11)
        assert served(replica, "income", key) == 1


def test_a_revoked_key_is_refused_within_a_second(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any, cache: Any
) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    control.publish(cache)
    with start(redis_url=valkey.url, MILL_STORE__POLL_SECONDS="60") as replica:
        reach(lambda: replica.predict("income", key).status_code == 200)
        reach(lambda: replica.metric("snapshot_number") == 1)
        control.keys.clear()
        revoked = time.monotonic()
        control.publish(cache, store=False)
        reach(lambda: replica.predict("income", key).status_code == 401)
        assert time.monotonic() - revoked < 1.0


def test_a_replica_restarts_and_serves_with_everything_else_down(
    control: Any, build: Any, start: Any, reach: Any, tmp_path: Path
) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    control.publish()
    with start() as replica:
        reach(lambda: served(replica, "income", key))
        replica.stop()
    shutil.rmtree(tmp_path / "objects")
    down = {"redis_url": "redis://127.0.0.1:1/0", "MILL_STORE__URL": "s3://127.0.0.1:1/none?secure=false"}
    with start(**down, MILL_STORE__ACCESS_KEY="a", MILL_STORE__SECRET_KEY="b") as replica:
        assert served(replica, "income", key) == 1
        assert replica.http.get("/health/ready").status_code == 200
        reach(lambda: replica.http.get("/health/detailed").json()["status"] == "degraded")


def test_a_snapshot_nobody_confirmed_for_a_day_is_refused(
    control: Any, build: Any, start: Any, reach: Any, tmp_path: Path
) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    control.publish()
    with start() as replica:
        reach(lambda: served(replica, "income", key))
        replica.stop()
    yesterday = time.time() - 25 * 3600
    os.utime(tmp_path / "serving" / "snapshot.json", (yesterday, yesterday))
    with start(store=False) as replica:
        answer = replica.predict("income", key)
        assert answer.status_code == 503
        assert answer.json()["type"].endswith("snapshot-too-old")
        assert answer.headers["retry-after"] == "5"
        assert replica.http.get("/health/ready").status_code == 503
    with start() as replica:
        reach(lambda: served(replica, "income", key) == 1)


def test_a_tampered_snapshot_on_disk_is_not_taken_up(
    control: Any, build: Any, start: Any, reach: Any, tmp_path: Path
) -> None:
    control.routes = [control.route(build("income"), WORKSPACE)]
    control.publish()
    with start() as replica:
        reach(lambda: replica.number() == 1)
        replica.stop()
    path = tmp_path / "serving" / "snapshot.json"
    path.write_bytes(path.read_bytes().replace(b"income", b"outcome"))
    with start(store=False) as replica:
        assert replica.number() == 0


def test_a_damaged_local_package_is_fetched_again(
    control: Any, build: Any, start: Any, reach: Any, tmp_path: Path
) -> None:
    package = build("income")
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(package, WORKSPACE)]
    control.publish()
    with start() as replica:
        reach(lambda: served(replica, "income", key))
        replica.stop()
    local = tmp_path / "serving" / "packages" / f"{package.sha256}.mill"
    local.write_bytes(local.read_bytes()[:-10])
    with start() as replica:
        reach(lambda: served(replica, "income", key) == 1)
    control.routes = []
    control.publish()
    with start():
        reach(lambda: not local.exists())


def test_tenants_do_not_see_each_other(control: Any, build: Any, start: Any, reach: Any) -> None:
    ours, theirs = build("income"), build("secret-project")
    control.routes = [control.route(ours, WORKSPACE), control.route(theirs, OTHER)]
    key = control.api_key(WORKSPACE)
    narrow = control.api_key(WORKSPACE, models=(new_id(),))
    reader = control.api_key(WORKSPACE, scopes=("read",))
    expired = control.api_key(WORKSPACE, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    control.publish()
    with start() as replica:
        reach(lambda: served(replica, "income", key))
        unknown = replica.predict("nothing", key)
        for name in ("secret-project", str(theirs.model_id), str(theirs.version_id), "secret-project@1"):
            foreign = replica.predict(name, key)
            assert foreign.status_code == unknown.status_code == 404
            assert foreign.json()["type"] == unknown.json()["type"]
            assert replica.http.get(f"/models/{name}", headers={"x-api-key": key}).status_code == 404
        assert replica.predict("income", narrow).status_code == 404
        assert replica.predict("income", reader).status_code == 403
        assert replica.predict("income", expired).status_code == 401
        assert replica.predict("income", "mm_wrong").status_code == 401
        assert replica.predict("income").status_code == 401
        stats = replica.http.get("/stats", headers={"x-api-key": key}).json()
        assert set(stats["models"]) == {"income"}
        assert replica.http.get("/stats").json()["models"] == {}
        assert "secret-project" not in replica.http.get("/metrics").text


def test_tokens_and_every_way_to_send_a_key(control: Any, build: Any, start: Any, reach: Any) -> None:
    control.routes = [control.route(build("income"), WORKSPACE)]
    key = control.api_key(WORKSPACE)
    control.publish()
    row = {"input_data": {"age": 40.0, "hours": 38.0, "city": "Oslo"}}
    with start() as replica:
        reach(lambda: served(replica, "income", key))

        def status(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return replica.http.post("/predict/income", json=row, headers=headers).status_code

        assert replica.http.post("/predict/income", json=row, auth=("anybody", key)).status_code == 200
        assert status(key) == 200
        good = control.token(WORKSPACE)
        assert [status(good), status(good)] == [200, 200]
        assert status(control.token(OTHER)) == 404
        past = datetime.now(UTC) - timedelta(minutes=1)
        for claims in ({"exp": past}, {"iss": "x"}, {"aud": "x"}, {"typ": "JWT"}, {"tid": "no uuid"}, {"sub": None}):
            assert status(control.token(WORKSPACE, **claims)) == 401, claims
        assert status(good[:-4] + "AAAA") == 401
        none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + good.split(".")[1] + "."
        assert status(none) == 401


def test_a_stopping_replica_is_unready_first_and_answers_meanwhile(
    control: Any, build: Any, start: Any, reach: Any
) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    control.publish()
    with start(MILL_SERVING__DRAIN_SECONDS="1.5") as replica:
        reach(lambda: served(replica, "income", key))
        replica.process.terminate()
        reach(lambda: replica.http.get("/health/ready").status_code == 503)
        assert served(replica, "income", key) == 1
        assert replica.process.wait(10) == 0


def test_a_new_version_takes_over_without_a_failed_request(control: Any, build: Any, start: Any, reach: Any) -> None:
    old = build("income", version=1)
    new = build("income", version=2, model_id=old.model_id)
    key = control.api_key(WORKSPACE)
    first = control.route(old, WORKSPACE)
    control.routes = [first]
    control.publish()
    seen: list[int] = []
    with start() as replica:
        reach(lambda: served(replica, "income", key))
        second = control.route(new, WORKSPACE, previous_version_id=old.version_id)
        control.routes = [second, first.model_copy(update={"is_default": False})]
        control.publish()
        while 2 not in seen:
            seen.append(served(replica, "income", key) or 0)
        control.routes = [second.model_copy(update={"previous_version_id": None})]
        control.publish()
        while replica.number() < 3:
            seen.append(served(replica, "income", key) or 0)
        assert replica.predict("income@1", key).status_code == 404
    assert set(seen) <= {1, 2}
    assert seen == sorted(seen)


def test_redis_may_die_and_come_back(control: Any, build: Any, start: Any, reach: Any) -> None:
    key = control.api_key(WORKSPACE)
    control.routes = [control.route(build("income"), WORKSPACE)]
    with ValkeyServer.temporary(settings=CACHE) as server, redis.Redis.from_url(server.url) as client:
        control.publish(client)
        with start(redis_url=server.url, MILL_STORE__POLL_SECONDS="0.2") as replica:
            reach(lambda: served(replica, "income", key))
            server.kill()
            reach(lambda: "failed" in replica.http.get("/health/detailed").json()["checks"]["redis"])
            assert served(replica, "income", key) == 1
            control.publish()
            reach(lambda: replica.number() == 2)
            server.start()
            reach(lambda: client.exists("mill:replica:replica-1"))
            control.publish(client, store=False)
            reach(lambda: replica.number() == 3)
