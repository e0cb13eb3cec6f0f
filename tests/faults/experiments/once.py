"""Promise 10: many identical requests with one Idempotency-Key make one thing, also when the api-server dies among them."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx

from tests.faults.cluster import Cluster, cluster
from tests.faults.course import Course, Trial
from tests.faults.promises import Figure, Result
from tests.faults.workload import User

TWINS = 50
KILL_EVERY = 10
PATH = "/api/v1/projects"


def once(course: Course) -> list[Result]:
    trial, trials = Trial(course, 10, "50 at once for each key"), course.trials(10)
    with cluster(course.folder / "once", proxied=False) as running:
        user = User.register(running.api_url, "twin", 30)
        wrong, statuses, kills = asyncio.run(all_keys(course, running, user, trials))
        listed = Counter(row["name"] for row in user.pages(PATH))
        user.close()
    doubled = sum(number > 1 for number in listed.values())
    figures: dict[str, Figure] = {
        "requests": sum(statuses.values()),
        "answers": ", ".join(f"{status} × {number}" for status, number in sorted(statuses.items())),
        "kills of the api-server": kills,
        "made twice": doubled,
    }
    return [trial.result(trials, wrong + doubled, figures, "A request without an answer is sent again with its key.")]


async def all_keys(course: Course, running: Cluster, user: User, keys: int) -> tuple[int, Counter[str], int]:
    chance, statuses, wrong, kills = course.random("once"), Counter[str](), 0, 0
    headers = {"X-API-Key": user.http.headers["X-API-Key"]}
    limits = httpx.Limits(max_connections=TWINS)
    async with httpx.AsyncClient(
        base_url=running.api_url, headers=headers, timeout=20, limits=limits, trust_env=False
    ) as client:
        for number in range(keys):
            key, name = str(uuid4()), f"once{number}"
            twins = [asyncio.create_task(ask(client, key, name)) for _ in range(TWINS)]
            if number % KILL_EVERY == KILL_EVERY - 1:
                await asyncio.sleep(chance.uniform(0, 0.15))
                await asyncio.to_thread(running.kill, "api-server")
                kills += 1
            answers = await asyncio.gather(*twins)
            statuses.update(status for status, _ in answers)
            last = await insist(client, key, name)
            bodies = {body for status, body in answers if status == "201"} | {last}
            other, _ = await ask(client, key, "something else")
            wrong += int(len(bodies) != 1 or other != "422" or not {status for status, _ in answers} <= ALLOWED)
    return wrong, statuses, kills


ALLOWED = {"201", "409", "503", "no answer"}


async def ask(client: httpx.AsyncClient, key: str, name: str) -> tuple[str, bytes]:
    try:
        answer = await client.post(PATH, json={"name": name}, headers={"Idempotency-Key": key})
    except httpx.HTTPError:
        return "no answer", b""
    return str(answer.status_code), answer.content


async def insist(client: httpx.AsyncClient, key: str, name: str) -> bytes:
    """Until it is made; the answer that every later request gets."""
    while True:
        status, body = await ask(client, key, name)
        if status == "201":
            return body
        await asyncio.sleep(0.3)
