"""Promises 17 and 18: ml-service under a steady open load, and under three times what it can do.

Asked are batches of rows as CSV: they take the general way, wait in the lane's queue, and are slow enough that the client, which
has one of the cores, does not set the limit.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.faults.arrivals import Arrivals, keep_asking, offer
from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

ROWS = 100
CALM_CALLS, KNEE_SECONDS = 200, 8.0
KNEE_CONNECTIONS, STEADY_CONNECTIONS, OVERLOAD_CONNECTIONS = 8, 64, 256
SHARE, TIMES = 0.7, 3.0
MOST_ERRORS, MOST_TIMES_CALM, MOST_DRIFT = 0.001, 5.0, 1.2
DEADLINE_MS, REFUSED_WITHIN, NORMAL_WITHIN = 1000, 0.05, 10.0
MOST_GROWTH = 1.5


@dataclass(frozen=True)
class Service:
    """A deployed model, one request to it, and what it does when nothing else is asked."""

    running: Cluster
    address: tuple[str, int]
    request: bytes
    calm: float
    knee: float

    def with_header(self, header: str) -> bytes:
        return self.request.replace(b"\r\n", f"\r\n{header}\r\n".encode(), 1)

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.running.pid('ml-service')}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def steady(course: Course) -> list[Result]:
    minutes = course.trials(17)
    with _served(course, "steady") as service:
        trial = Trial(course, 17, "an open load at 70 % of the knee")
        rate = SHARE * service.knee
        found = asyncio.run(offer(service.address, service.request, rate, minutes * 60, STEADY_CONNECTIONS))
    part = minutes * 60 / 6
    first, last = found.p(99, 0, part), found.p(99, part * 5)
    errors = found.offered - found.accepted
    figures: dict[str, Figure] = {
        **_figures(service, found, rate),
        "p99, ms": _ms(found.p(99)),
        "× the calm p50": round(found.p(99) / service.calm, 2),
        "p99 in the first sixth, ms": _ms(first),
        "in the last, ms": _ms(last),
    }
    broken = [
        errors > MOST_ERRORS * found.offered,
        found.p(99) > MOST_TIMES_CALM * service.calm,
        last > MOST_DRIFT * first,
    ]
    return [trial.result(minutes, sum(broken), figures, "Client and service share the machine.")]


def overload(course: Course) -> list[Result]:
    minutes = course.trials(18)
    with _served(course, "overload") as service:
        trial = Trial(course, 18, "three times the knee")
        rate, before, pid = TIMES * service.knee, service.rss_mib(), service.running.pid("ml-service")
        hurried = service.with_header(f"X-Request-Deadline-Ms: {DEADLINE_MS}")
        found = asyncio.run(offer(service.address, hurried, rate, minutes * 60, OVERLOAD_CONNECTIONS))
        back = until(lambda: _calm(service.address, service.request, 20) < 2 * service.calm, 60, "it is calm again")
        after, is_same = service.rss_mib(), service.running.pid("ml-service") == pid
    slowest, answered = _p99(found.refusals), _p99(found.answered)
    others = found.offered - found.accepted - len(found.refusals)
    figures: dict[str, Figure] = {
        **_figures(service, found, rate),
        "p99 of the accepted, ms": _ms(answered),
        "refused": len(found.refusals),
        "without Retry-After": found.without_return,
        "p99 of the refusals, ms": _ms(slowest),
        "seconds until normal": round(back, 2),
        "memory before, MiB": round(before),
        "after": round(after),
    }
    broken = [
        others > 0 or found.without_return > 0,
        slowest > REFUSED_WITHIN,
        answered > DEADLINE_MS / 1e3,
        back > NORMAL_WITHIN,
        not is_same or after > MOST_GROWTH * before,
    ]
    notes = (
        f"Each call gives {DEADLINE_MS} ms. Times are from when a call was sent: client and service share the machine."
    )
    return [trial.result(minutes, sum(broken), figures, notes)]


def _figures(service: Service, found: Arrivals, rate: float) -> dict[str, Figure]:
    return {
        "knee, requests/s": round(service.knee, 1),
        "calm p50, ms": _ms(service.calm),
        "offered, requests/s": round(rate, 1),
        "offered": found.offered,
        "answers": ", ".join(f"{status} × {number}" for status, number in sorted(found.statuses.items()) if number),
    }


@contextmanager
def _served(course: Course, name: str) -> Generator[Service]:
    """A stack with one deployed forest."""
    with cluster(course.folder / name, proxied=False) as running:
        user = User.register(running.api_url, "caller", 60)
        data = dataset(user, "table", table(course.random(name), 2000))
        model = user.train("forest", data, n_estimators=300, max_depth=6).raise_for_status().json()["id"]
        until(lambda: _is_trained(user, model), 180, "the model is trained")
        user.http.post(f"/api/v1/models/{model}/deploy", json={}).raise_for_status()
        address = urlsplit(running.serving_url)
        place = (address.hostname or "127.0.0.1", address.port or 80)
        request = _request(user)
        until(lambda: _status(running, user) == 200, 60, "the model answers")
        calm = _calm(place, request, CALM_CALLS)
        most = asyncio.run(keep_asking(place, request, KNEE_SECONDS, KNEE_CONNECTIONS))
        yield Service(running, place, request, calm, most.accepted / KNEE_SECONDS)


def _is_trained(user: User, model: str) -> bool:
    return user.http.get(f"/api/v1/models/{model}").raise_for_status().json()["status"] == "trained"


def _body() -> bytes:
    return ("a,b\n" + "".join(f"0.{number:04d},{number}\n" for number in range(ROWS))).encode()


def _request(user: User) -> bytes:
    body = _body()
    head = (
        "POST /predict/forest/batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        f"X-API-Key: {user.http.headers['X-API-Key']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _status(running: Cluster, user: User) -> int:
    headers = {"X-API-Key": user.http.headers["X-API-Key"], "Content-Type": "text/csv"}
    return httpx.post(f"{running.serving_url}/predict/forest/batch", content=_body(), headers=headers).status_code


def _calm(address: tuple[str, int], request: bytes, calls: int) -> float:
    """The median of calls one after the other."""
    return asyncio.run(offer(address, request, 20.0, calls / 20.0, 1)).p(50)


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] if seconds else 0.0


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 2)
