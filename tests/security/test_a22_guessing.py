"""A22: guessing is slow for the guesser, never for the victim, and tells nobody who has an account."""

import statistics
import time
from collections.abc import AsyncIterator

import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from mill_api.app import create_app
from mill_api.parts import Parts
from mill_api.settings import Environment, Settings
from mill_api.testing import PASSWORD, register

from tests.security.evidence import Evidence, sized

TESTS = "test_a22_guessing.py"


def from_address(app: FastAPI, address: str) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(app, client=(address, 40_000)), base_url="http://modelmill.test")


WRONG = "a wrong guess 123"


async def guess(client: AsyncClient, name: str, password: str = WRONG) -> int:
    return (await client.post("/api/v1/auth/token", data={"username": name, "password": password})).status_code


async def test_a_thousand_guesses_get_ten_answers_and_the_victim_gets_in(app: FastAPI, client: AsyncClient) -> None:
    evidence = Evidence(30, "Guessing is slowed down and locks nobody out", TESTS, full=1000)
    person = await register(client, "target")
    guesses, begun = sized(200, 1000), time.monotonic()
    async with from_address(app, "203.0.113.7") as attacker, from_address(app, "198.51.100.4") as home:
        statuses = [await guess(attacker, person.username) for _ in range(guesses)]
        minutes = int((time.monotonic() - begun) // 60) + 1
        answered = sum(status == 401 for status in statuses)
        evidence.trials, evidence.failures = guesses, max(0, answered - 10 * (minutes + 1))
        evidence.figures = {"guesses": guesses, "answered": answered, "minutes": minutes}
        assert set(statuses) == {401, 429}
        assert answered <= 10 * (minutes + 1)
        victim_in = await guess(home, person.username, PASSWORD)
        evidence.count(failed=victim_in != 200)
        evidence.keep()
        assert victim_in == 200, "a stranger's guesses must not lock the owner out"
        refused = await attacker.post("/api/v1/auth/token", data={"username": person.username, "password": PASSWORD})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) <= 61


async def test_many_addresses_help_little_and_lock_nobody_out(app: FastAPI, client: AsyncClient) -> None:
    """Each address has its own count, so the victim's is untouched; the addresses are what guesses cost."""
    person = await register(client, "popular")
    for number in range(sized(10, 100)):
        async with from_address(app, f"203.0.113.{number + 10}") as one:
            statuses = [await guess(one, person.username) for _ in range(12)]
            assert statuses.count(401) <= 10
    async with from_address(app, "198.51.100.9") as home:
        assert await guess(home, person.username, PASSWORD) == 200


async def test_case_and_spelling_of_the_name_give_no_second_count(app: FastAPI, client: AsyncClient) -> None:
    person = await register(client, "spelled")
    async with from_address(app, "203.0.113.200") as attacker:
        spellings = [person.username, person.username.upper(), person.username.title(), f" {person.username}"]
        statuses = [await guess(attacker, spellings[number % 4]) for number in range(60)]
    assert statuses.count(401) <= 20, "a name and its spaced spelling may count apart, its case may not"


async def test_a_stranger_is_told_nothing_about_who_has_an_account(app: FastAPI, client: AsyncClient) -> None:
    person = await register(client, "known")
    async with from_address(app, "203.0.113.201") as attacker:
        known = await attacker.post("/api/v1/auth/token", data={"username": person.username, "password": "wrong guess"})
        unknown = await attacker.post(
            "/api/v1/auth/token", data={"username": "nobody-at-all", "password": "wrong guess"}
        )
    assert known.status_code == unknown.status_code == 401
    changing = {"request_id", "instance"}
    assert {k: v for k, v in known.json().items() if k not in changing} == {
        k: v for k, v in unknown.json().items() if k not in changing
    }
    assert set(known.headers) == set(unknown.headers)


@pytest.fixture
async def slow_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """With the password hash of production, whose time is what could tell."""
    slow = settings.model_copy(
        update={
            "environment": Environment.DEVELOPMENT,
            "tokens": settings.tokens.model_copy(update={"attempts_per_minute": 1000}),
        }
    )
    application = create_app(slow)
    async with LifespanManager(application, startup_timeout=30, shutdown_timeout=30):
        yield application


async def test_an_unknown_name_takes_as_long_as_a_known_one(slow_app: FastAPI) -> None:
    """Medians of interleaved tries, so that whatever else the machine does meets both alike."""
    evidence = Evidence(30, "Guessing is slowed down and locks nobody out: equal time", TESTS, full=100)
    parts: Parts = slow_app.state.parts
    del parts
    async with from_address(slow_app, "203.0.113.202") as attacker:
        person = await register(attacker, "timed")
        times: dict[str, list[float]] = {person.username: [], "nobody-at-all": []}
        for _ in range(sized(12, 100)):
            for name, seen in times.items():
                begun = time.perf_counter()
                await guess(attacker, name)
                seen.append(time.perf_counter() - begun)
    known, unknown = (statistics.median(seen) for seen in times.values())
    gap = abs(known - unknown) / max(known, unknown)
    allowed = sized(60, 5) / 100  # a busy machine jitters more than twelve tries even out
    evidence.trials, evidence.failures = len(times[person.username]), int(gap > allowed)
    evidence.figures = {"gap_percent": round(gap * 100, 2), "median_ms": round(known * 1000, 2)}
    evidence.keep()
    assert gap <= allowed, f"{gap:.1%}"
