"""Promise 16: a used stack is backed up while it works, restored into an empty folder, examined, started, and asked the same questions."""

import threading
import time
from pathlib import Path
from typing import Any

from mill_local.care.backup import back_up
from mill_local.care.doctor import Verdict, examine
from mill_local.care.installation import Addresses, installation
from mill_local.care.restore import restore
from mill_local.home import Home

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset, state
from tests.faults.facts import stored
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

ROWS = ({"a": 0.25, "b": 7}, {"a": 0.75, "b": 93}, {"a": 0.5, "b": 0})


def quiet(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""


def drill(course: Course) -> list[Result]:
    trial = Trial(course, 16, "backup, restore, doctor")
    failures, figures = drill_once(course, course.folder / "drill", datasets=20)
    return [trial.result(1, failures, figures, "Uploads went on during the backup.")]


def drill_once(course: Course, folder: Path, datasets: int) -> tuple[int, dict[str, Figure]]:
    """Failures, and what was measured."""
    figures: dict[str, Figure] = {}
    with cluster(folder / "first", proxied=False) as running:
        user = User.register(running.api_url, "keeper", 30)
        chance = course.random("drill")
        ids = [dataset(user, f"t{number}", table(chance, 200)) for number in range(datasets)]
        model = user.train("kept", ids[0], n_estimators=20).raise_for_status().json()
        until(lambda: state(running, model["job_id"]) == "succeeded", 120, "the model is trained")
        user.http.post(f"/api/v1/models/{model['id']}/deploy").raise_for_status()
        answers = predictions(running, user)
        kept = stored([user])
        began = time.monotonic()
        back_up_under_load(running, user, course, folder / "backup")
        figures["seconds to back up"] = round(time.monotonic() - began, 2)
    began = time.monotonic()
    summary = restore(folder / "backup", Home(folder / "second" / "home"), Addresses(), quiet)
    figures |= {
        "seconds to restore": round(time.monotonic() - began, 2),
        "objects": summary.objects,
        "bytes": summary.object_bytes + summary.database_bytes,
    }
    with installation(Home(folder / "second" / "home"), Addresses()) as patient:
        wrong = [check for check in examine(patient, quiet) if check.verdict is Verdict.FAILED]
    with cluster(folder / "second", proxied=False) as running:
        user.http.base_url = running.api_url
        differ = {name for name, digest in kept.items() if stored([user]).get(name) != digest}
        same = predictions(running, user) == answers
    figures |= {"checks failed": len(wrong), "datasets missing or different": len(differ), "same predictions": same}
    return len(wrong) + len(differ) + (not same), figures


def back_up_under_load(running: Cluster, user: User, course: Course, target: Path) -> None:
    stop = threading.Event()

    def upload() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            user.upload(f"beside{number}", table(course.random(f"beside{number}")))

    beside = threading.Thread(target=upload)
    beside.start()
    try:
        with installation(running.home, Addresses()) as source:
            back_up(source, target, quiet)
    finally:
        stop.set()
        beside.join()


def predictions(running: Cluster, user: User) -> list[Any]:
    """Of the deployed model, from ml-service itself; as soon as it serves."""
    key = {"X-API-Key": user.http.headers["X-API-Key"]}
    address = f"{running.serving_url}/predict/kept"

    def served() -> bool:
        return user.http.post(address, json={"input_data": ROWS[0]}, headers=key).status_code == 200

    until(served, 60, "the model is served")
    answers = [user.http.post(address, json={"input_data": row}, headers=key).raise_for_status().json() for row in ROWS]
    return [(answer["prediction"], answer.get("probabilities")) for answer in answers]
