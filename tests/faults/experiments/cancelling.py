"""Promise 11: jobs are cancelled at random moments of their lives."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Cancelled:
    """A job that was asked to stop: its state just before, the answer, how it ended and after how many seconds."""

    before: str
    status: int
    end: str
    wait: float

    @property
    def moved(self) -> bool:
        """It had ended, and the request was not refused or changed its state."""
        return self.before in ENDED and (self.status != 409 or self.end != self.before)


def cancelling(course: Course) -> list[Result]:
    trial, trials = Trial(course, 11, "cancelled at random moments"), course.trials(11, least=THREADS)
    seen: list[Cancelled] = []
    with cluster(course.folder / "cancel", proxied=False) as running:
        user = User.register(running.api_url, "canceller", 30)
        data = dataset(user, "table", table(course.random("cancel")))
        share = -(-trials // THREADS)

        def work(number: int) -> None:
            chance = course.random(f"cancel{number}")
            seen.extend(cancel_one(running, user, data, f"{number}-{place}", chance) for place in range(share))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        attached = int(running.query(_ATTACHED))
    figures: dict[str, Figure] = {
        **{f"asked while {state}": count for state, count in sorted(Counter(one.before for one in seen).items())},
        "cancelled": sum(one.end == "cancelled" for one in seen),
        "seconds until ended, longest": max(one.wait for one in seen),
        "cancelled with a result": attached,
        "moved after their end": sum(one.moved for one in seen),
    }
    late = sum(one.wait > 15 for one in seen) + share * THREADS - len(seen)
    moved = sum(one.moved for one in seen)
    met = {one.before for one in seen}
    result = trial.result(len(seen), late + attached + moved, figures)
    if {"queued", "running", "succeeded"} <= met:
        return [result]
    return [replace(result, full=result.trials + 1, notes=f"Only {', '.join(sorted(met))} jobs were met.")]


def cancel_one(running: Cluster, user: User, data: str, name: str, chance: random.Random) -> Cancelled:
    """A quarter are trainings; a fifth are cancelled at once, a fifth after their end, the others at a random moment."""
    answer = user.train(f"m{name}", data) if chance.random() < 0.25 else user.upload(f"d{name}", table(chance))
    job = answer.raise_for_status().json()["job_id"]
    moment = chance.random()
    if moment < 0.2:
        until(lambda: state(running, job) in ENDED, 120, f"job {job} has ended by itself")
    elif moment > 0.4:
        time.sleep(chance.uniform(0, 1))
    before, asked = state(running, job), time.monotonic()
    status = user.http.post(f"/api/v1/jobs/{job}/cancel").status_code
    until(lambda: state(running, job) in ENDED, 60, f"job {job} has ended")
    return Cancelled(before, status, state(running, job), time.monotonic() - asked)
