"""A workspace whose predictions of the day are used up, as its callers see it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mill_contracts.ids import new_id
from mill_contracts.routing import EXHAUSTED_KEY, Exhausted


def test_a_used_up_day_is_refused_until_it_is_given_back_and_stops_nobody_else(
    control: Any, build: Any, start: Any, valkey: Any, cache: Any, reach: Any
) -> None:
    mine, yours = new_id(), new_id()
    control.routes += [control.route(build("census"), workspace, model_id=new_id()) for workspace in (mine, yours)]
    key, other = control.api_key(mine), control.api_key(yours)
    control.publish(cache)

    def used_up(*workspaces: Any) -> None:
        told = Exhausted(day=datetime.now(UTC).date(), workspaces=workspaces)
        cache.set(EXHAUSTED_KEY, told.model_dump_json())

    with start(valkey.url) as replica:
        reach(lambda: replica.predict("census", key).status_code == 200)
        used_up(mine)
        reach(lambda: replica.predict("census", key).status_code == 429)
        now = datetime.now(UTC)
        refused = replica.predict("census", key)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert refused.json()["type"] == "urn:modelmill:problem:predictions-used-up"
        assert refused.headers["content-type"] == "application/problem+json"
        assert abs(int(refused.headers["retry-after"]) - (midnight - now).total_seconds()) < 5
        row = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
        batch = replica.http.post("/predict/census/batch", json={"inputs": [row]}, headers={"x-api-key": key})
        assert batch.status_code == 429, "by every door"
        assert replica.predict("census", other).status_code == 200
        assert replica.http.get("/health/ready").status_code == 200
        used_up()
        reach(lambda: replica.predict("census", key).status_code == 200)
