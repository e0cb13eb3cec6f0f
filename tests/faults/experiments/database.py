"""Promises 8 and 25: a database that is killed while clients write, and clients that leave."""

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from mill_api.settings import DatabaseSettings

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.promises import Figure, Result
from tests.faults.workload import User

RECOVERY = 30.0
PAUSE = 0.02
"""Between two clients that leave: a server that is flooded would show its queue, not its leaks."""
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'mill-api%'"
_BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'mill-api%' AND state <> 'idle'"


@dataclass
class Writer:
    """Creates projects one after the other and remembers which were acknowledged."""

    user: User
    statuses: Counter[str] = field(default_factory=Counter[str])
    acknowledged: set[str] = field(default_factory=set[str])
    last_success: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stop.wait(0.02):
            number += 1
            try:
                answer = self.user.http.post("/api/v1/projects", json={"name": f"p{number}"})
            except httpx.HTTPError as error:
                self.statuses[type(error).__name__] += 1
                continue
            self.statuses[str(answer.status_code)] += 1
            if answer.is_success:
                self.acknowledged.add(answer.json()["id"])
                self.last_success = time.monotonic()


def database_killed(course: Course) -> list[Result]:
    trial, chance = Trial(course, 8, "kill -9 under writes"), course.random("database")
    trials, waits = course.trials(8), list[float]()
    with cluster(course.folder / "database", proxied=False) as running:
        writers = [Writer(User.register(running.api_url, f"writer{number}", 15)) for number in range(4)]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        for _ in range(trials):
            time.sleep(chance.uniform(1, 4))
            killed = time.monotonic()
            running.kill("postgres")
            time.sleep(0.3)
            until(
                lambda killed=killed: max(one.last_success for one in writers) > killed + 0.3,
                120,
                "writes succeed again",
            )
            waits.append(time.monotonic() - killed)
        for writer in writers:
            writer.stop.set()
        for thread in threads:
            thread.join()
        lost = sum(len(one.acknowledged - {row["id"] for row in one.user.pages("/api/v1/projects")}) for one in writers)
    statuses = sum((one.statuses for one in writers), Counter[str]())
    wrong = sum(number for status, number in statuses.items() if status not in ("201", "503"))
    figures: dict[str, Figure] = {
        "writes acknowledged": sum(len(one.acknowledged) for one in writers),
        "of these lost": lost,
        "answers": ", ".join(f"{status} × {number}" for status, number in sorted(statuses.items())),
        "seconds until writes succeed, longest": max(waits),
    }
    late = sum(wait > RECOVERY for wait in waits)
    return [trial.result(trials, lost + late + wrong, figures, "Anything but 201 and 503 counts as a failure.")]


def clients_leave(course: Course) -> list[Result]:
    """Reads and writes whose client closes the connection after a random time, some before the request is whole."""
    trial, chance = Trial(course, 25, "clients that leave"), course.random("leave")
    trials = course.trials(25, least=50)
    with cluster(course.folder / "leave", proxied=False) as running:
        user = User.register(running.api_url, "leaver", 15)
        address = urlsplit(running.api_url)
        before = int(running.query(_SESSIONS))
        requests = [request(user, number) for number in range(4)]
        for number in range(trials):
            whole = chance.choice(requests)
            with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as line:
                line.sendall(whole if chance.random() < 0.9 else whole[: chance.randrange(1, len(whole))])
                time.sleep(chance.choice((0, 0.001, 0.004, 0.01)))
            time.sleep(PAUSE)
            if number % 1000 == 999:
                course.say(f"    {number + 1} aborted")
        still = wait_for_quiet(running)
        recovered = until(lambda: answers(user), 60, "the api-server answers again")
        after = int(running.query(_SESSIONS))
        timeouts = running.home.log("api-server").read_text(errors="replace").count("QueuePool limit")
    pools = DatabaseSettings.model_fields
    pool_most = int(pools["pool_size"].default + pools["system_pool_size"].default)
    figures: dict[str, Figure] = {
        "sessions before": before,
        "after": after,
        "busy after": still,
        "seconds until answered again": round(recovered, 2),
        "requests that waited too long for a connection": timeouts,
    }
    failures = int(after > pool_most) + int(still > 0) + int(timeouts > 0)
    return [trial.result(trials, failures, figures, f"The pools of the api-server hold at most {pool_most} sessions.")]


def answers(user: User) -> bool:
    try:
        return user.http.get("/api/v1/projects", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def request(user: User, number: int) -> bytes:
    key = user.http.headers["X-API-Key"]
    head = f"Host: x\r\nX-API-Key: {key}\r\n"
    if number == 0:
        body = b'{"name": "left"}'
        return (
            f"POST /api/v1/projects HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    path = ("", "/api/v1/projects", "/api/v1/datasets?limit=50", "/api/v1/jobs")[number]
    return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()


def wait_for_quiet(running: Cluster) -> int:
    """Sessions of the api-server that are still in a transaction after a minute."""
    busy = 0

    def quiet() -> bool:
        nonlocal busy
        busy = int(running.query(_BUSY))
        return busy == 0

    try:
        until(quiet, 60, "no session is busy")
    except TimeoutError:
        return busy
    return 0
