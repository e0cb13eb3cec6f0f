"""Promises 6 and 7: a broker that forgets everything, and lines to it that break in every way."""

import time

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.facts import KINDS, drain
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

JOBS = 204
_STATES = f"SELECT coalesce(json_object_agg(state, n), '{{}}') FROM (SELECT state, count(*) AS n FROM jobs WHERE kind IN {KINDS} GROUP BY 1) AS x"  # noqa: E501
_CANARIES = "SELECT json_object_agg(name, extract(epoch FROM canary_ran_at)) FROM workers WHERE seen_at > now() - interval '60 s'"
FAULTS = ("reset", "cut", "refuse", "silent", "slice", "delay")
WAIT = 60.0


def broker_forgets(course: Course) -> list[Result]:
    """Uploads are accepted faster than they are profiled; with most of them queued, the broker is emptied and killed."""
    trial, chance = Trial(course, 6, "FLUSHALL and kill -9 with jobs queued"), course.random("forgets")
    jobs = course.trials(6, least=12)
    with cluster(course.folder / "forgets", proxied=False) as running:
        user = User.register(running.api_url, "many", 30)
        for number in range(jobs):
            user.upload(f"t{number}", table(chance)).raise_for_status()
        before: dict[str, int] = running.query(_STATES)
        running.flush("broker")
        running.kill("broker")
        began = time.monotonic()
        drain(running, 60 + 4 * jobs)
        took = time.monotonic() - began
        after: dict[str, int] = running.query(_STATES)
    figures: dict[str, Figure] = {
        "queued then": before.get("queued", 0),
        "running then": before.get("running", 0),
        "seconds until all had ended": took,
    }
    return [trial.result(jobs, jobs - after.get("succeeded", 0), figures)]


def broker_lines(course: Course) -> list[Result]:
    """After each fault every worker must execute a message again: its canary, which is sent with every sweep."""
    trial, chance = Trial(course, 7, "faults of the line between workers and broker"), course.random("lines")
    trials, waits, late = course.trials(7, least=len(FAULTS)), list[float](), 0
    restarts = 0
    with cluster(course.folder / "lines", {"MILL_WORKER__SWEEP_SECONDS": "5"}) as running:
        until(lambda: len(canaries(running)) == 2, 120, "both workers execute their canaries")
        for number in range(trials):
            harm(running, FAULTS[number % len(FAULTS)], chance.uniform(5, 12))
            returned = time.time()
            try:
                until(lambda returned=returned: all_since(running, returned), WAIT, "every canary has run", every=0.3)
                waits.append(time.time() - returned)
            except TimeoutError:
                late += 1
        restarts = sum(part.restarts for part in running.state().parts if part.name.startswith("worker"))
    figures: dict[str, Figure] = {
        "seconds until every canary ran, longest": max(waits, default=WAIT),
        "mean": sum(waits) / len(waits) if waits else WAIT,
        "workers restarted by their watchdog": restarts,
    }
    return [trial.result(trials, late, figures, "Lines down for 5 to 12 s; five minutes down is not among them.")]


def harm(running: Cluster, fault: str, seconds: float) -> None:
    line = running.proxies["broker"]
    if fault == "reset":
        line.reset()
    elif fault == "cut":
        line.cut()
    else:
        line.weather.refuse, line.weather.silent = fault == "refuse", fault == "silent"
        line.weather.slice_bytes, line.weather.delay = 3 * (fault == "slice"), 1.0 * (fault == "delay")
        if fault == "refuse":
            line.reset()
        time.sleep(seconds)
        line.weather.clear()


def canaries(running: Cluster) -> dict[str, float]:
    found: dict[str, float | None] = running.query(_CANARIES) or {}
    return {name: at for name, at in found.items() if at is not None}


def all_since(running: Cluster, moment: float) -> bool:
    found = canaries(running)
    return len(found) == 2 and min(found.values()) > moment
