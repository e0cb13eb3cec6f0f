"""Promise 11: jobs are cancelled at random moments of their lives."""

import random
import threading
import time

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset, state
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

ENDED = ("succeeded", "failed", "cancelled")
_ATTACHED = (
    "SELECT (SELECT count(*) FROM jobs j JOIN model_versions v ON v.job_id = j.id WHERE j.state = 'cancelled' AND v.report IS NOT NULL)"
    " + (SELECT count(*) FROM jobs j JOIN dataset_versions v ON v.job_id = j.id WHERE j.state = 'cancelled' AND v.report IS NOT NULL)"
)
THREADS = 3


def cancelling(course: Course) -> list[Result]:
    trial, trials = Trial(course, 11, "cancelled at random moments"), course.trials(11, least=THREADS)
    waits: list[float] = []
    ends: list[str] = []
    with cluster(course.folder / "cancel", proxied=False) as running:
        user = User.register(running.api_url, "canceller", 30)
        data = dataset(user, "table", table(course.random("cancel")))
        share = -(-trials // THREADS)

        def work(number: int) -> None:
            chance = course.random(f"cancel{number}")
            for place in range(share):
                wait, end = cancel_one(running, user, data, f"{number}-{place}", chance)
                waits.append(wait)
                ends.append(end)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        attached = int(running.query(_ATTACHED))
    figures: dict[str, Figure] = {
        "cancelled": ends.count("cancelled"),
        "ended before": len(ends) - ends.count("cancelled"),
        "seconds until ended, longest": max(waits),
        "cancelled with a result": attached,
    }
    late = sum(wait > 15 for wait in waits) + share * THREADS - len(ends)
    return [trial.result(len(ends), late + attached, figures)]


def cancel_one(running: Cluster, user: User, data: str, name: str, chance: random.Random) -> tuple[float, str]:
    """How long it took to end, and how it ended. A quarter are trainings."""
    answer = user.train(f"m{name}", data) if chance.random() < 0.25 else user.upload(f"d{name}", table(chance))
    job = answer.raise_for_status().json()["job_id"]
    time.sleep(chance.uniform(0, 2.5))
    asked = time.monotonic()
    user.http.post(f"/api/v1/jobs/{job}/cancel")
    until(lambda: state(running, job) in ENDED, 60, f"job {job} has ended")
    return time.monotonic() - asked, state(running, job)
