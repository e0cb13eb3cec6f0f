"""The second level of the prediction cache, in a real Valkey: shared by replicas, never between versions, and never in the way."""
# pyright: reportUnknownMemberType=false
# redis-py leaves some keyword arguments untyped.

import asyncio
import itertools
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
import redis
from mill_local.valkey import CACHE, ValkeyServer
from mill_pack import Prediction
from mill_serving.shared_answers import SharedAnswers
from mill_serving.snapshot.line import RedisLine

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
KEY = ("0" * 64, b'{"age":40.0}')
ANSWER = Prediction("yes", 0.1 + 0.2, {"yes": 0.1 + 0.2, "no": 1e-300}, True, ("odd",))
SLOW = (16,) * 400
"""Layers of a model that takes a millisecond or so for a row."""


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer.temporary(settings=CACHE) as server:
        yield server


@pytest.fixture
async def answers(own_valkey: ValkeyServer, until: Any) -> AsyncIterator[SharedAnswers]:
    found = SharedAnswers(RedisLine(own_valkey.url, 1.0), 60, patience=1.0)
    task = asyncio.create_task(found.run())
    await until(lambda: found.microseconds < math.inf)
    yield found
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await found.line.close()


async def comes(answers: SharedAnswers) -> Prediction:
    for _ in range(1000):
        found = await answers.get(KEY)
        if found is not None:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("no answer came")


async def test_an_answer_comes_back_as_it_was_and_only_for_its_version(answers: SharedAnswers) -> None:
    assert await answers.get(KEY) is None
    answers.put(KEY, ANSWER)
    assert await comes(answers) == ANSWER
    assert await answers.get(("1" * 64, KEY[1])) is None
    assert await answers.get((KEY[0], b'{"age":40}')) is None
    assert answers.hits == 1


async def test_what_is_in_redis_is_short_ends_by_itself_and_need_not_be_ours(
    answers: SharedAnswers, own_valkey: ValkeyServer
) -> None:
    answers.put(KEY, ANSWER)
    await comes(answers)
    long = ("2" * 64, b"{}")
    answers.put(long, Prediction("x" * 5000))
    assert await answers.get(long) is None
    with redis.Redis.from_url(own_valkey.url) as client:
        (name,) = client.keys("mill:answer:*")
        assert 0 < client.ttl(name) <= 60
        for foreign in (b"{", b"null", b'{"value": []}', b"\xff", b"9" * 2**20, b'{"value":1,"confidence":"much"}'):
            client.set(name, foreign)
            assert await answers.get(KEY) is None


async def test_it_is_asked_for_slow_models_alone(answers: SharedAnswers) -> None:
    assert answers.pays(10 * answers.microseconds)
    assert not answers.pays(3 * answers.microseconds)


async def test_a_server_that_hangs_is_asked_a_few_times_and_again_when_it_is_back(
    answers: SharedAnswers, own_valkey: ValkeyServer, until: Any
) -> None:
    answers.put(KEY, ANSWER)
    await comes(answers)
    os.kill(own_valkey.pid, signal.SIGSTOP)
    answers.patience = 0.01
    begun = time.perf_counter()
    assert await asyncio.gather(*(answers.get(KEY) for _ in range(3))) == [None] * 3
    assert time.perf_counter() - begun < 1.0
    assert (answers.failures, answers.pays(1e9)) == (1, False)
    answers.patience = 1.0
    os.kill(own_valkey.pid, signal.SIGCONT)
    await until(lambda: answers.pays(1e9))
    assert await comes(answers) == ANSWER


def test_replicas_share_answers_and_lose_nothing_with_redis(
    control: Any, build: Any, launch: Any, reach: Any, tmp_path: Any
) -> None:
    first = build("income", hidden=SLOW)
    second = build("income", version=2, bias=5.0, model_id=first.model_id, hidden=SLOW)
    control.routes = [control.route(first, WORKSPACE)]
    key = control.api_key(WORKSPACE)
    control.publish()
    hits = "shared_prediction_cache_hits_total"
    variables = {"MILL_STORE__URL": f"file://{control.folder / 'objects'}", "MILL_STORE__POLL_SECONDS": "0.05"}
    with ValkeyServer.temporary(settings=CACHE) as valkey:
        replicas = [
            launch(tmp_path, redis_url=valkey.url, MILL_SERVING__CACHE_DIR=str(tmp_path / name), **variables)
            for name in ("one", "two")
        ]
        with replicas[0] as one, replicas[1] as two:
            for replica in (one, two):
                reach(lambda replica=replica: replica.predict("income", key).status_code == 200)
            ages = itertools.count(41)

            def keeps(replica: Any) -> dict[str, Any] | None:
                """A row that nobody asked for before, once this replica's answer to it lies in Valkey."""
                row = {**ROW, "age": float(next(ages))}
                before = len(cache.keys("mill:answer:*"))
                assert replica.predict("income", key, input_data=row).status_code == 200
                with suppress(AssertionError):
                    reach(lambda: len(cache.keys("mill:answer:*")) > before, 1.0)
                    return row
                return None

            def shares() -> Any:
                """The row, once one replica's answer to it was the other's."""
                row = keeps(one)
                if row is None:
                    return None
                before, said = two.metric(hits), one.predict("income", key, input_data=row).json()
                again = two.predict("income", key, input_data=row).json()
                assert again["probabilities"] == said["probabilities"]
                return row if again["metadata"]["cached"] and two.metric(hits) == before + 1 else None

            with redis.Redis.from_url(valkey.url) as cache:
                row = reach(shares)
            known = two.predict("income", key, input_data=row).json()
            control.routes = [control.route(second, WORKSPACE)]
            control.publish()
            reach(lambda: two.predict("income", key).json()["metadata"]["version"] == 2)
            fresh = two.predict("income", key, input_data=row).json()
            assert fresh["metadata"]["cached"] is False
            assert fresh["probabilities"] != known["probabilities"]
            valkey.kill()
            for number in range(50):
                assert two.predict("income", key, input_data={**ROW, "age": 500.0 + number}).status_code == 200
            assert "Traceback" not in two.log.read_text()
