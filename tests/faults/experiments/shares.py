"""Promise 19: a workspace that asks ten times as often as it may, beside one that asks as it should, on both services.

Rounds in which the second is alone and rounds in which the first is there too take turns, so that a machine that slows down slows both.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from tests.faults.arrivals import Arrivals, offer
from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

SECONDS = 4.0
TIMES, SHARE = 10, 0.7
"""How often the first asks, and the second, of what each may."""

MOST_SLOWER = 1.5
CONNECTIONS, MOST_CONNECTIONS = 8, 32
ROWS = 100
API_PER_SECOND, SERVING_PER_SECOND = 20, 60
BURST = 20
LIMITS = {
    "MILL_LIMITS__ENABLED": "true",
    "MILL_LIMITS__PER_MINUTE": str(60 * API_PER_SECOND),
    "MILL_LIMITS__BURST": str(BURST),
    "MILL_LIMITS__WORKSPACE_PER_MINUTE": str(60 * API_PER_SECOND),
    "MILL_LIMITS__WORKSPACE_BURST": str(BURST),
    "MILL_RATES__PER_SECOND": str(SERVING_PER_SECOND),
    "MILL_RATES__BURST": str(BURST),
    "MILL_RATES__WORKSPACE_PER_SECOND": str(SERVING_PER_SECOND),
    "MILL_RATES__WORKSPACE_BURST": str(BURST),
}


@dataclass
class Seen:
    """What became of the second workspace's requests, alone and beside the first, and of the first's."""

    alone: list[float] = field(default_factory=list[float])
    beside: list[float] = field(default_factory=list[float])
    statuses: Counter[str] = field(default_factory=Counter[str])
    greedy: Counter[str] = field(default_factory=Counter[str])
    errors: int = 0

    def add(self, found: Arrivals, *, alone: bool) -> None:
        (self.alone if alone else self.beside).extend(found.took)
        self.statuses += found.statuses
        self.errors += found.offered - found.accepted

    @property
    def slower(self) -> float:
        return p99(self.beside) / p99(self.alone)

    def figures(self, service: str) -> dict[str, Figure]:
        return {
            f"{service}: p99 alone, ms": round(p99(self.alone) * 1e3, 2),
            f"{service}: p99 beside the other, ms": round(p99(self.beside) * 1e3, 2),
            f"{service}: times": round(self.slower, 2),
            f"{service}: requests": self.statuses.total(),
            f"{service}: of these not answered with 200": self.errors,
            f"{service}: the other's answers": said(self.greedy),
        }


def shares(course: Course) -> list[Result]:
    rounds = course.trials(19)
    with cluster(course.folder / "shares", LIMITS, proxied=False) as running:
        greedy, modest = (User.register(running.api_url, name, 60) for name in ("greedy", "modest"))
        for user in (greedy, modest):
            deploy(course, running, user)
        trial = Trial(course, 19, "ten times its share beside a modest one")
        serving = measure(running.serving_url, predicting(greedy), predicting(modest), SERVING_PER_SECOND, rounds)
        api = measure(running.api_url, listing(greedy), listing(modest), API_PER_SECOND, rounds)
    figures = {**api.figures("api-server"), **serving.figures("ml-service")}
    failures = sum(seen.errors + (seen.slower > MOST_SLOWER) + (not is_held_back(seen)) for seen in (api, serving))
    notes = (
        f"Rounds of {SECONDS:g} s alone and {SECONDS:g} s beside the other. The first asks {TIMES} times as often as it may, the second "
        f"{SHARE:g} times; api-server {API_PER_SECOND} requests a second for each workspace, ml-service {SERVING_PER_SECOND} batches of "
        f"{ROWS} rows. Clients and services share the machine."
    )
    return [trial.result(rounds, failures, figures, notes)]


def measure(url: str, greedy: bytes, modest: bytes, per_second: float, rounds: int) -> Seen:
    address, seen = urlsplit(url), Seen()
    place = (address.hostname or "127.0.0.1", address.port or 80)

    async def ask(request: bytes, rate: float, connections: int) -> Arrivals:
        return await offer(place, request, rate, SECONDS, connections)

    async def beside() -> tuple[Arrivals, Arrivals]:
        much = ask(greedy, TIMES * per_second, MOST_CONNECTIONS)
        return await asyncio.gather(much, ask(modest, SHARE * per_second, CONNECTIONS))

    for _ in range(rounds):
        seen.add(asyncio.run(ask(modest, SHARE * per_second, CONNECTIONS)), alone=True)
        much, little = asyncio.run(beside())
        seen.greedy += much.statuses
        seen.add(little, alone=False)
    return seen


def is_held_back(seen: Seen) -> bool:
    """Most of what was too much was refused; else nothing was tried."""
    return seen.greedy["429"] > 0.7 * seen.greedy.total()


def p99(took: list[float]) -> float:
    return float(np.percentile(took, 99)) if took else float("inf")


def said(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{status} × {number}" for status, number in sorted(statuses.items()) if number)


def deploy(course: Course, running: Cluster, user: User) -> None:
    """A forest that answers."""
    data = dataset(user, "table", table(course.random(user.name), 1000))
    model = user.train("forest", data, n_estimators=200, max_depth=6).raise_for_status().json()["id"]
    path = f"/api/v1/models/{model}"
    until(
        lambda: user.http.get(path).raise_for_status().json()["status"] == "trained", 180, "the model is trained", 0.5
    )
    user.http.post(f"{path}/deploy", json={}).raise_for_status()
    address, body = f"{running.serving_url}/predict/forest/batch", _rows()
    headers = {"Content-Type": "text/csv"}
    until(
        lambda: user.http.post(address, content=body, headers=headers).status_code == 200, 60, "the model answers", 0.5
    )


def listing(user: User) -> bytes:
    return f"GET /api/v1/projects HTTP/1.1\r\nHost: x\r\n{_key(user)}\r\n\r\n".encode()


def predicting(user: User) -> bytes:
    body = _rows()
    head = (
        "POST /predict/forest/batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        f"{_key(user)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _key(user: User) -> str:
    return f"X-API-Key: {user.http.headers['X-API-Key']}"


def _rows() -> bytes:
    return ("a,b\n" + "".join(f"0.{number:04d},{number}\n" for number in range(ROWS))).encode()
