"""A warm replica whose every other part is gone: no store, no Redis, no database and no api-server (there never was one here)."""

import shutil
import time
from typing import Any
from uuid import UUID

from mill_local.valkey import CACHE, ValkeyServer

WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}


def test_a_warm_replica_answers_while_redis_and_the_store_are_gone(
    control: Any, build: Any, start: Any, reach: Any
) -> None:
    control.routes = [control.route(build("income"), WORKSPACE)]
    key, revoked = control.api_key(WORKSPACE), "mm_" + "0" * 64
    control.publish()
    with (
        ValkeyServer.temporary(settings=CACHE) as valkey,
        start(redis_url=valkey.url, MILL_JOURNAL__ONE_IN="1") as replica,
    ):
        reach(lambda: replica.predict("income", key).status_code == 200)
        valkey.kill()
        shutil.rmtree(control.folder / "objects")
        reach(lambda: replica.http.get("/health/detailed").json()["status"] == "degraded")
        for _ in range(200):
            begun = time.perf_counter()
            assert replica.predict("income", key).status_code == 200
            assert time.perf_counter() - begun < 1.0
        block = replica.http.post("/predict/income/batch", json={"inputs": [ROW] * 100}, headers={"x-api-key": key})
        assert block.status_code == 200
        assert replica.predict("income", revoked).status_code == 401
        assert replica.http.get("/health/ready").status_code == 200
        assert replica.stop() == 0
