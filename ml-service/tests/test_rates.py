"""How often one may ask for predictions: exact in one process, together over time, never more than a burst ahead."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from mill_contracts.ids import new_id
from mill_kit.gcra import Rate
from mill_kit.problems import TooManyRequests
from mill_serving.limits import SENDER, Limiter, Rates
from mill_serving.snapshot.line import Away, RedisLine
from mill_serving.targets import Principal

PER_SECOND, BURST = 10, 5
RATE = Rate(60 * PER_SECOND, BURST)


class Seconds:
    """A clock that is put by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def somebody(workspace: UUID | None = None) -> Principal:
    return Principal(workspace or new_id(), new_id(), new_id(), may_predict=True, expires_at=9e9)


def asked(limiter: Limiter, who: Principal | None, times: int) -> int:
    """How often it was let through."""
    through = 0
    for _ in range(times):
        limiter.caller = who
        try:
            limiter.take()
        except TooManyRequests:
            continue
        through += 1
    return through


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def limiter(clock: Seconds) -> Limiter:
    return Limiter(Rates(caller=RATE), clock=clock)


def test_a_burst_goes_through_and_then_as_many_as_the_rate_says(limiter: Limiter, clock: Seconds) -> None:
    who = somebody()
    assert asked(limiter, who, 20) == BURST
    for _ in range(50):
        clock.now += 0.1
        assert asked(limiter, who, 3) == 1
    clock.now += 100
    assert asked(limiter, who, 20) == BURST


def test_a_refusal_says_when_to_come_again_and_whose_bucket_is_empty(limiter: Limiter) -> None:
    who = somebody()
    asked(limiter, who, BURST)
    limiter.caller = who
    with pytest.raises(TooManyRequests) as refused:
        limiter.take()
    told = refused.value.headers
    assert told["Retry-After"] == "1"
    assert told["RateLimit-Policy"] == '600;w=60;burst=5;name="key"'
    assert (told["RateLimit-Limit"], told["RateLimit-Remaining"], told["RateLimit-Reset"]) == ("5", "0", "1")
    assert told["X-RateLimit-Remaining"] == "0"


def test_keys_of_one_workspace_share_its_bucket_and_those_of_another_have_theirs(clock: Seconds) -> None:
    limiter, home = Limiter(Rates(caller=RATE, workspace=Rate(600, 8)), clock=clock), new_id()
    assert asked(limiter, somebody(home), 20) == BURST
    assert asked(limiter, somebody(home), 20) == 8 - BURST
    assert asked(limiter, somebody(), 20) == BURST


def test_what_is_given_up_at_once_is_counted_when_it_asks_again(limiter: Limiter) -> None:
    who = somebody()

    def gives_up(*_: Any) -> None:
        limiter.caller = who
        limiter.take()

    for _ in range(10):
        limiter.at_once(gives_up, "192.0.2.1", b"/predict/x", [], b"")
    assert asked(limiter, who, 20) == BURST


def test_strangers_and_wrong_keys_empty_the_bucket_of_their_address(clock: Seconds) -> None:
    limiter = Limiter(Rates(address=RATE), clock=clock)

    def through(address: str) -> int:
        SENDER.set((address, []))
        return asked(limiter, None, 20)

    assert through("192.0.2.1") == BURST
    with pytest.raises(TooManyRequests):
        limiter.require_room()
    with pytest.raises(TooManyRequests):
        limiter.blame()
    assert through("192.0.2.2") == BURST
    assert through("2001:db8::1") == BURST
    assert through("2001:db8::2") == 0, "one customer"
    assert asked(limiter, somebody(), 20) == 20, "who is known is not counted by address"


def test_only_so_many_are_remembered(clock: Seconds) -> None:
    limiter = Limiter(Rates(caller=RATE), most=100, clock=clock)
    for _ in range(1000):
        asked(limiter, somebody(), 1)
    assert len(limiter) <= 300


async def test_two_processes_together_keep_to_the_rate(clock: Seconds, valkey: Any, cache: Any) -> None:
    """Redis counts by its own clock, so this one goes on with the real time."""
    cache.flushall()
    loop, line, who = asyncio.get_running_loop(), RedisLine(valkey.url), somebody()
    both = [Limiter(Rates(caller=RATE), clock=loop.time) for _ in range(2)]
    begun, through = loop.time(), 0
    try:
        while loop.time() - begun < 2.0:
            through += sum(asked(limiter, who, 3) for limiter in both)
            await asyncio.gather(*(limiter.settle(line) for limiter in both))
            await asyncio.sleep(0.02)
    finally:
        await line.close()
    elapsed = loop.time() - begun
    assert elapsed * PER_SECOND * 0.6 < through < elapsed * PER_SECOND + 3 * BURST


async def test_while_redis_is_away_each_process_counts_for_itself(limiter: Limiter, clock: Seconds) -> None:
    line, who = RedisLine("redis://127.0.0.1:9/0", 0.2), somebody()
    assert asked(limiter, who, 20) == BURST
    with pytest.raises(Away):
        await limiter.settle(line)
    assert asked(limiter, who, 20) == 0
    clock.now += 1
    assert asked(limiter, who, 20) == BURST


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory, build: Any, control_plane: Any, launch: Any, reach: Any
) -> Iterator[tuple[Any, Callable[[], str]]]:
    """A replica with limits, and new keys of new workspaces that may call `quick` and `slow`."""
    folder = tmp_path_factory.mktemp("rates")
    control = control_plane(folder)
    packages = [build("quick"), build("slow", hidden=(300, 300, 300))]
    keys: list[str] = []
    for _ in range(6):
        workspace = new_id()
        for package in packages:
            control.routes.append(control.route(package, workspace, model_id=new_id(), model_version_id=new_id()))
        keys.append(control.api_key(workspace))
    control.publish()
    rates = {"PER_SECOND": "0.05", "BURST": "5", "ADDRESS_PER_SECOND": "0.05", "ADDRESS_BURST": "4"}
    given = {f"MILL_RATES__{name}": value for name, value in rates.items()} | {"MILL_TRUSTED_PROXIES": "127.0.0.1"}
    with launch(folder, **given) as replica:
        reach(lambda: replica.http.get("/health/ready").status_code == 200)
        yield replica, keys.pop


def test_calls_beyond_the_limit_are_refused_whichever_way_they_go(limited: Any) -> None:
    replica, new_key = limited
    for model in ("quick", "slow"):
        key = new_key()
        answers = [replica.predict(model, key) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3, answers[0].text
        refused = answers[-1]
        assert refused.json()["type"] == "urn:modelmill:problem:too-many-requests"
        assert refused.headers["ratelimit-policy"] == '3;w=60;burst=5;name="key"'
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["x-request-id"]


def test_every_protocol_takes_from_the_same_bucket(limited: Any) -> None:
    replica, new_key = limited
    headers = {"x-api-key": new_key()}
    row = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
    tensors = [{"name": "age", "shape": [1, 1], "datatype": "FP64", "data": [40.0]}]
    calls = [
        ("/predict/quick", {"input_data": row}),
        ("/predict/quick/batch", {"inputs": [row]}),
        ("/v2/models/quick/infer", {"inputs": tensors}),
        ("/predict/quick/batch", {"inputs": [row]}),
        ("/predict/quick", {"input_data": row}),
        ("/predict/quick/batch", {"inputs": [row]}),
        ("/v2/models/quick/infer", {"inputs": tensors}),
    ]
    statuses = [replica.http.post(path, json=body, headers=headers).status_code for path, body in calls]
    assert 429 not in statuses[:5]
    assert statuses[5:] == [429, 429]


def test_guessed_keys_cost_their_address_and_nobody_else(limited: Any) -> None:
    replica, new_key = limited

    def guess(address: str) -> int:
        headers = {"x-api-key": f"mm_{new_id().hex}", "x-forwarded-for": address}
        return replica.http.post("/predict/quick", json={}, headers=headers).status_code

    assert Counter(guess("198.51.100.7") for _ in range(10)) == {401: 4, 429: 6}
    assert guess("198.51.100.8") == 401
    answer = replica.http.post(
        "/predict/quick",
        json={"input_data": {"age": 40.0, "hours": 38.0, "city": "Oslo"}},
        headers={"x-api-key": new_key(), "x-forwarded-for": "198.51.100.7"},
    )
    assert answer.status_code == 200, "a good key is no guess"


def test_health_and_metrics_are_never_counted(limited: Any) -> None:
    replica, _ = limited
    for path in ("/health", "/health/ready", "/metrics", "/stats"):
        assert {replica.http.get(path).status_code for _ in range(10)} == {200}
