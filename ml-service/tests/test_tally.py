"""What each workspace had predicted by day, read from the counters, and whose day is used up."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from uuid import uuid4

import pytest
from mill_contracts.routing import EXHAUSTED_KEY, TALLY_KEY_PREFIX, Exhausted, Tally
from mill_local.valkey import ValkeyServer
from mill_serving.snapshot.line import RedisLine
from mill_serving.statistics import Statistics
from mill_serving.tally import DayTally
from mill_serving.targets import Target

MONDAY, TUESDAY, THURSDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 26)


def target(public: bool = False) -> Target:
    return Target(str(uuid4()), str(uuid4()), f"m-{uuid4()}", 1, "", 1, public, workspace_id=uuid4())


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer.temporary() as server:
        yield server


async def test_rows_are_counted_by_workspace_and_day_and_told(valkey: ValkeyServer) -> None:
    line, statistics = RedisLine(valkey.url), Statistics()
    mine, yours, told = target(), target(public=True), list[object]()
    tally = DayTally(line, statistics, lambda: [mine, yours], told.append, "replica", today=lambda: MONDAY)
    statistics.of(mine).succeed(0.0, 5)
    statistics.of(yours).succeed(0.0, 2)
    tally.count()
    tally.today = lambda: TUESDAY
    statistics.of(mine).succeed(0.0, 7)
    tally.count()
    counted = {(one.workspace_id, one.day): one.count for one in tally.told().counts}
    assert counted == {(mine.workspace_id, MONDAY): 5, (yours.workspace_id, MONDAY): 2, (mine.workspace_id, TUESDAY): 7}
    await tally.tell()
    stored = await line.get(TALLY_KEY_PREFIX + tally.told().source)
    assert stored is not None
    assert Tally.model_validate_json(stored) == tally.told()
    tally.today = lambda: THURSDAY
    tally.count()
    assert tally.told().counts == ()
    await line.close()


async def test_who_has_used_up_the_day_is_heard_and_forgotten_the_next_day(valkey: ValkeyServer) -> None:
    line, heard, who = RedisLine(valkey.url), list[frozenset[object]](), uuid4()
    tally = DayTally(line, Statistics(), list, heard.append, "replica", today=lambda: MONDAY)
    await line.set(EXHAUSTED_KEY, Exhausted(day=MONDAY, workspaces=(who,)).model_dump_json(), 60)
    await tally.hear()
    tally = replace(tally, today=lambda: TUESDAY)
    await tally.hear()
    await line.set(EXHAUSTED_KEY, "garbage", 60)
    await tally.hear()
    assert heard == [frozenset({who}), frozenset(), frozenset()]
    await line.close()
