"""Promises 4, 5 and 9: workers that die, jobs that kill their children, jobs that last longer than the broker remembers."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.promises import Figure, Result
from tests.faults.suite import run_suite
from tests.faults.workload import User, table

CENSUS = Path(__file__).parents[3] / "examples" / "data" / "adult.csv"
PRODUCTION = {
    "MILL_WORKER__LEASE_SECONDS": "30",
    "MILL_WORKER__HEARTBEAT_SECONDS": "10",
    "MILL_WORKER__SWEEP_SECONDS": "15",
}
POISONS = (signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT)
_JOB = "SELECT json_build_object('state', state, 'attempt', attempt, 'problem', problem) FROM jobs WHERE id = '{job}'"
_LAST_QUEUED = "SELECT extract(epoch FROM max(at)) FROM job_events WHERE job_id = '{job}' AND kind = 'state' AND data->>'state' = 'queued'"


def dataset(user: User, name: str, data: bytes) -> str:
    """Uploaded and profiled."""
    answer = user.upload(name, data).raise_for_status().json()

    def ready() -> bool:
        return user.http.get(f"/api/v1/datasets/{answer['id']}").json()["status"] == "ready"

    until(ready, 120, f"{name} is profiled")
    return str(answer["id"])


def state(running: Cluster, job: str) -> str:
    return str(running.query(_JOB.format(job=job))["state"])


def death_of_workers(course: Course) -> list[Result]:
    """With the lease and the sweep of production; the kill is at a random moment between two heartbeats."""
    trial, chance = Trial(course, 4, "kill -9 in the middle of a training"), course.random("death")
    waits: list[float] = []
    trials = course.trials(4)
    with cluster(course.folder / "death", PRODUCTION, proxied=False) as running:
        user = User.register(running.api_url, "death", 30)
        data = dataset(user, "census", CENSUS.read_bytes())
        for number in range(trials):
            job = (
                user.train(f"victim{number}", data, n_estimators=4000, max_depth=8).raise_for_status().json()["job_id"]
            )
            until(
                lambda job=job: state(running, job) == "running" and bool(running.trainers()), 300, "the training runs"
            )
            time.sleep(chance.uniform(0, 3))
            killed = time.time()
            running.kill("worker-ml")
            asked = _LAST_QUEUED.format(job=job)
            until(
                lambda asked=asked, killed=killed: running.query(asked) > killed, 120, "it is queued again", every=0.3
            )
            waits.append(running.query(asked) - killed)
            user.http.post(f"/api/v1/jobs/{job}/cancel")
            until(lambda job=job: state(running, job) == "cancelled", 120, "the training is cancelled")
    late = sum(wait > 60 for wait in waits)
    figures: dict[str, Figure] = {
        "seconds until queued again, shortest": min(waits),
        "longest": max(waits),
    }
    return [
        trial.result(
            trials,
            late,
            figures,
            "Lease 30 s, heartbeat 10 s, sweep 15 s. The lock on a dead worker's row is the lease.",
        )
    ]


def poison(course: Course) -> list[Result]:
    """Every trainer of a training is hit the moment it appears, while another user's tables are profiled."""
    trial = Trial(course, 5, "children that die of a signal")
    each = max(1, course.trials(5) // len(POISONS))
    wrong, others, stop = 0, [0, 0], threading.Event()
    with cluster(course.folder / "poison", proxied=False) as running:
        user, other = (User.register(running.api_url, name, 30) for name in ("poisoner", "bystander"))
        data = dataset(user, "table", table(course.random("poison")))

        def bystander() -> None:
            while not stop.is_set():
                others[0] += 1
                with contextlib.suppress(TimeoutError):
                    dataset(other, f"t{others[0]}", table(course.random(f"other{others[0]}")))
                    others[1] += 1
                stop.wait(1)

        beside = threading.Thread(target=bystander)
        beside.start()
        for which in POISONS:
            for number in range(each):
                job = user.train(f"{which.name}{number}", data).raise_for_status().json()["job_id"]
                kill_children_until_ended(running, job, which)
                row = running.query(_JOB.format(job=job))
                named = which.name in str(row["problem"])
                wrong += int(row["state"] != "failed" or row["attempt"] != 3 or not named)
        stop.set()
        beside.join()
    figures: dict[str, Figure] = {"signals": ", ".join(one.name for one in POISONS), "bystander's jobs done": others[1]}
    wrong += others[0] - others[1]
    memory_and_time = run_suite(course, course.promise(5), full=0)
    notes = "Failed after 3 attempts, the signal named."
    return [trial.result(each * len(POISONS), wrong, figures, notes), *memory_and_time]


def kill_children_until_ended(running: Cluster, job: str, which: signal.Signals) -> None:
    deadline = time.monotonic() + 120
    while state(running, job) in ("queued", "running", "waiting"):
        for pid, line in running.trainers().items():
            if " train " in line:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, which)
        if time.monotonic() > deadline:
            raise TimeoutError(f"job {job} does not end")
        time.sleep(0.02)


def long_jobs(course: Course) -> list[Result]:
    """Workers whose broker takes back what is not confirmed within seconds; a training lasts longer than three times that."""
    trial = Trial(course, 9, "a training beyond the visibility timeout")
    seconds, trials = 5, course.trials(9)
    executions: list[int] = []
    lasted: list[float] = []
    with cluster(course.folder / "long", {"FAULTS_VISIBILITY": str(seconds)}, proxied=False) as running:
        user = User.register(running.api_url, "patient", 30)
        data = dataset(user, "census", CENSUS.read_bytes())
        for number in range(trials):
            began = time.monotonic()
            job = user.train(f"long{number}", data, n_estimators=2500, max_depth=9).raise_for_status().json()["job_id"]
            until(
                lambda job=job: state(running, job) in ("succeeded", "failed"), 300, "the training has ended", every=0.5
            )
            lasted.append(time.monotonic() - began)
            times = f"SELECT count(*) FROM job_events WHERE job_id = '{job}' AND kind = 'state' AND data->>'state' = 'running'"
            executions.append(int(running.query(times)))
    too_short = sum(one < 3 * seconds for one in lasted)
    figures: dict[str, Figure] = {"visibility timeout": seconds, "seconds the shortest job lasted": min(lasted)}
    return [trial.result(trials - too_short, sum(one != 1 for one in executions), figures)]
