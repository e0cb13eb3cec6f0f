"""Promise 32: the process of an uploaded model is ended by SIGSEGV again and again, while others ask a trained model.

Every third crash must suspend the uploaded model, and to deploy it again must bring it back; the others must notice nothing.
"""

import contextlib
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import xgboost

from tests.faults.cluster import Cluster, cluster, processes, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

CRASHES_ALLOWED = 3
CALLERS = 2
_SUSPENDED = "urn:modelmill:problem:model-suspended"
_CRASHED = "urn:modelmill:problem:model-crashed"


def apart(course: Course) -> list[Result]:
    trial, crashes = (
        Trial(course, 32, "SIGSEGV in the process of an uploaded model"),
        course.trials(32, CRASHES_ALLOWED),
    )
    with cluster(course.folder / "apart", proxied=False) as running:
        user = User.register(running.api_url, "uploader", 30)
        rows = _deploy_both(running, user, course)
        seen = crash(running, user, crashes, course, rows)
    wrong = seen.errors_of_others + seen.wrong_answers + seen.not_suspended
    return [trial.result(seen.crashes, wrong, seen.figures())]


@dataclass
class Seen:
    """What the callers of both models were told."""

    crashes: int = 0
    suspensions: int = 0
    not_suspended: int = 0
    own_refusals: int = 0
    wrong_answers: int = 0
    others: list[float] = field(default_factory=list[float])
    errors_of_others: int = 0

    def figures(self) -> dict[str, Figure]:
        return {
            "suspensions after the third crash": self.suspensions,
            "answers 503 to its own callers": self.own_refusals,
            "answers of the other model meanwhile": len(self.others),
            "errors of the other model": self.errors_of_others,
            "longest answer of the other model, ms": round(max(self.others, default=0.0) * 1e3, 1),
        }


def crash(running: Cluster, user: User, crashes: int, course: Course, rows: dict[str, Any]) -> Seen:
    """Crash the deployed model `uploaded` so often, or until the hours are over, while `trained` is asked without a pause.

    Whenever it is suspended it is deployed again.
    """
    seen, stop, chance = Seen(), threading.Event(), course.random("apart")
    threads = [threading.Thread(target=_ask_the_other, args=(running, user, rows, seen, stop)) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        with httpx.Client(base_url=running.serving_url, headers=user.http.headers, timeout=30) as http:
            while seen.crashes < crashes and course.left(1.0) > 1.0:
                for number in range(min(CRASHES_ALLOWED, crashes - seen.crashes)):
                    _crash_once(running, http, chance, rows, seen, is_last=number == CRASHES_ALLOWED - 1)
                user.http.post(f"/api/v1/models/{rows['uploaded_id']}/deploy", json={}).raise_for_status()
                until(
                    lambda: _predict(http, rows, "uploaded").status_code == 200, 60, "it answers after a deploy", 0.02
                )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return seen


def _crash_once(
    running: Cluster, http: httpx.Client, chance: random.Random, rows: dict[str, Any], seen: Seen, *, is_last: bool
) -> None:
    """At a random moment of its answering. What its caller is told is that it crashed, and the third time that it is suspended."""
    until(lambda: _predict(http, rows, "uploaded").status_code == 200, 30, "the uploaded model answers", 0.01)
    (pid,) = _model_processes(running)
    killer = threading.Timer(chance.uniform(0.0, 0.05), _end, (pid,))
    killer.start()
    while True:
        answer = _predict(http, rows, "uploaded")
        if answer.status_code == 503:
            seen.own_refusals += 1
            kind = answer.json()["type"]
            seen.wrong_answers += int(kind not in (_CRASHED, _SUSPENDED) or "retry-after" not in answer.headers)
            break
        seen.wrong_answers += int(answer.status_code != 200)
        if not killer.is_alive() and pid not in _model_processes(running):
            break  # it died between two questions: the next one found a new process
    killer.join()
    seen.crashes += 1
    if is_last:
        answer = _predict(http, rows, "uploaded")
        is_suspended = answer.status_code == 503 and answer.json()["type"] == _SUSPENDED
        seen.suspensions += int(is_suspended)
        seen.not_suspended += int(not is_suspended)


def _ask_the_other(running: Cluster, user: User, rows: dict[str, Any], seen: Seen, stop: threading.Event) -> None:
    """Without a pause, so that some answer is always under way."""
    with httpx.Client(base_url=running.serving_url, headers=user.http.headers, timeout=30) as http:
        expected = _predict(http, rows, "trained").json()["probabilities"]
        while not stop.is_set():
            began = time.monotonic()
            try:
                answer = _predict(http, rows, "trained")
                is_right = answer.status_code == 200 and answer.json()["probabilities"] == expected
            except httpx.HTTPError:
                is_right = False
            seen.others.append(time.monotonic() - began)
            seen.errors_of_others += int(not is_right)


def _predict(http: httpx.Client, rows: dict[str, Any], model: str) -> httpx.Response:
    return http.post(f"/predict/{model}", json={"input_data": rows[model], "use_cache": False})


def _model_processes(running: Cluster) -> list[int]:
    """Those of this stack: the children of its ml-service."""
    serving, found = running.pid("ml-service"), processes("mill_serving.isolation.child")
    return [pid for pid in found if _parent(pid) == serving]


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().rpartition(")")[2].split()[1])
    return 0


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSEGV)


def _deploy_both(running: Cluster, user: User, course: Course) -> dict[str, Any]:
    """A row for each, by the model's name, and the id of the uploaded one."""
    data = dataset(user, "table", table(course.random("rows")))
    trained = user.train("trained", data).raise_for_status().json()["id"]
    form = {"name": "uploaded", "project_id": user.project, "framework": "xgboost", "model_type": "classification"}
    files = {"file": ("model.json", _booster())}
    uploaded = (
        user.http.post("/api/v1/models/upload", data=form, files=files, timeout=60).raise_for_status().json()["id"]
    )
    rows: dict[str, Any] = {
        "trained": {"a": 0.5, "b": 50},
        "uploaded": {"f0": 0.5, "f1": -0.5, "f2": 0.0},
        "uploaded_id": uploaded,
    }
    for model in (trained, uploaded):
        until(lambda model=model: _is_over(user, model), 120, "both models are ready", 0.3)
        user.http.post(f"/api/v1/models/{model}/deploy", json={}).raise_for_status()
    with httpx.Client(base_url=running.serving_url, headers=user.http.headers, timeout=30) as http:
        for name in ("trained", "uploaded"):
            until(lambda name=name: _predict(http, rows, name).status_code == 200, 60, f"{name} answers")
    return rows


def _is_over(user: User, model: str) -> bool:
    return user.http.get(f"/api/v1/models/{model}").raise_for_status().json()["status"] in (
        "trained",
        "ready",
        "deployed",
    )


def _booster() -> bytes:
    """A model as somebody else would train it."""
    random_numbers = np.random.default_rng(32)
    x = random_numbers.normal(size=(200, 3))
    matrix = xgboost.DMatrix(x, (x[:, 0] > 0).astype(np.float64))
    return bytes(xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 5).save_raw("json"))
