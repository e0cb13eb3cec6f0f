"""Promise 39: a hundred trainings and predictions through nginx; each is found in the log of every part by the id of its answer.

Half of the ids are the caller's, half are made by nginx. What is left open is the search in Elasticsearch: Vector carries these lines
there unchanged, and here they are searched where they were written.
"""

import json
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset
from tests.faults.promises import ROOT, Figure, Result
from tests.faults.workload import User, table
from tests.stack.edges import Edge, edge

OURS = ("api-server", "worker", "trainer", "ml-service")
LONGEST = 1800.0
"""Seconds that a hundred trainings may take on a slow machine."""


@dataclass(frozen=True)
class Asked:
    """What the client knows: the id of the answer, and the job that it names."""

    request_id: str
    job: str


def one_id(course: Course) -> list[Result]:
    trial, trials = Trial(course, 39, "trainings and predictions found by one id"), course.trials(39, least=2)
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    with ExitStack() as stack:
        running = stack.enter_context(cluster(course.folder / "one-id", proxied=False))
        places = [url.removeprefix("http://") for url in (running.api_url, running.serving_url)]
        front = stack.enter_context(edge(program, ROOT / "nginx", *places)) if program else None
        asked = ask_all(running, front, trials, table(course.random("one-id")))
        parts = (*OURS, "nginx") if front else OURS
        with suppress(TimeoutError):  # what is still missing then is the finding
            until(lambda: not lost(read(running, front), asked, parts), 20, "every line is written", every=1.0)
        lines = list(read(running, front))
    missing = lost(lines, asked, parts)
    figures: dict[str, Figure] = {
        "parts that name each id": ", ".join(parts),
        "ids of the caller": sum(one.request_id.startswith("order-") for one in asked),
        "lines read": len(lines),
        "traces": len(
            {one["trace_id"] for one in lines if one.get("request_id") in {each.request_id for each in asked}}
        ),
        "lost": "; ".join(missing[:3]) or 0,
    }
    result = trial.result(len(asked), len(missing), figures)
    notes = "The lines are searched in the parts' own logs, not in Elasticsearch."
    if front is None:
        return [
            replace(result, full=result.trials + 1, notes=f"nginx is not at hand, so its part is not tried. {notes}")
        ]
    return [replace(result, notes=notes)]


def ask_all(running: Cluster, front: Edge | None, trials: int, data: bytes) -> list[Asked]:
    """Trainings through the edge; when all have ended, a prediction with the id of each."""
    user = User.register(running.api_url, "follower", 60)
    base = dataset(user, "followed", data)
    with httpx.Client(base_url=front.url if front else running.api_url, timeout=60, trust_env=False) as http:
        http.headers["X-API-Key"] = user.http.headers["X-API-Key"]
        followed = replace(user, http=http)
        asked: list[Asked] = []
        models: list[str] = []
        for number in range(trials):
            http.headers.pop("X-Request-ID", None)
            if number % 2 == 0:
                http.headers["X-Request-ID"] = f"order-{secrets.token_hex(6)}"
            answer = followed.train(f"followed{number}", base).raise_for_status()
            asked.append(Asked(answer.headers["X-Request-ID"], answer.json()["job_id"]))
            models.append(answer.json()["id"])
        jobs = ",".join(f"'{one.job}'" for one in asked)
        open_jobs = f"SELECT count(*) FROM jobs WHERE id IN ({jobs}) AND state <> 'succeeded'"
        until(lambda: running.query(open_jobs) == 0, LONGEST, "all trainings have succeeded", every=1.0)
        _deploy(user, models[0])
        for one in asked:
            wish = {"model": models[0], "input_data": {"a": 0.5, "b": 7}}
            told = {"X-Request-ID": one.request_id}
            http.post("/api/v1/predictions", json=wish, headers=told).raise_for_status()
    user.close()
    return asked


def _deploy(user: User, model: str) -> None:
    user.http.post(f"/api/v1/models/{model}/deploy").raise_for_status()

    def served() -> bool:
        return user.http.get(f"/api/v1/models/{model}/deployment").json().get("status") == "deployed"

    until(served, 60, "the first model is deployed")


def read(running: Cluster, front: Edge | None) -> Iterator[dict[str, Any]]:
    """Every JSON line of every part, of turned logs too."""
    paths = [*running.home.logs.glob("*.log*"), *([front.state.parent / "log"] if front else [])]
    for path in paths:
        yield from _objects(path)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:  # the last line may be half written
                continue


def lost(lines: Iterable[dict[str, Any]], asked: Iterable[Asked], parts: Iterable[str]) -> list[str]:
    """Who cannot be followed: a part without the id, or one whose line of the job names another trace than nginx began."""
    named: dict[str, dict[str, set[str]]] = {}
    jobs: dict[str, set[str]] = {}
    for line in lines:
        identity, trace = line.get("request_id"), line.get("trace_id")
        if identity and trace:
            named.setdefault(identity, {}).setdefault(line.get("service", "?"), set()).add(trace)
            if "job_id" in line:
                jobs.setdefault(identity, set()).add(line["job_id"])
    found: list[str] = []
    for one in asked:
        heard = named.get(one.request_id, {})
        silent = [part for part in parts if part not in heard]
        begun = heard.get("nginx") or heard.get("api-server") or set[str]()
        strange = [part for part, traces in heard.items() if not traces <= begun]
        if silent or strange or jobs.get(one.request_id) != {one.job}:
            found.append(f"{one.request_id}: silent {silent}, another trace {strange}, jobs {jobs.get(one.request_id)}")
    return found
