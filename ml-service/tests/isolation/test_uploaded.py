"""Uploaded models on a running service: they answer like any other, and their crashes are their callers' alone."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID

import httpx
import pytest

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
SIGNALS = (signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGBUS)


@dataclass
class Two:
    """A service with a trained model `good` and an uploaded one `bad`."""

    replica: Any
    control: Any
    key: str

    def ask(self, path: str, body: Any, method: str = "POST") -> httpx.Response:
        return self.replica.http.request(method, path, json=body, headers={"x-api-key": self.key})

    def predict(self, model: str = "bad") -> httpx.Response:
        return self.ask(f"/predict/{model}", {"input_data": ROW, "use_cache": False})

    def index(self) -> dict[str, dict[str, str]]:
        return {one["name"]: one for one in self.ask("/v2/repository/index", {}).json()}

    @property
    def processes(self) -> list[int]:
        return processes(self.replica.process.pid)


def processes(pid: int) -> list[int]:
    """The model processes under this one, workers' too."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            is_model = b"mill_serving.isolation.child" in Path(f"/proc/{child}/cmdline").read_bytes()
            found += [int(child)] if is_model else processes(int(child))
    return found


Begin = Callable[..., Any]


@pytest.fixture
def begin(control: Any, build: Any, start: Any, reach: Any) -> Begin:
    """`with begin(MILL_…=…) as two`: both are deployed and ready."""

    @contextmanager
    def run(**variables: str) -> Generator[Two]:
        now = datetime.now(UTC)
        for name, uploaded in (("good", False), ("bad", True)):
            route = control.route(build(name, bias=0.1, uploaded=uploaded), WORKSPACE, deployed_at=now)
            control.routes.append(route)
        key = control.api_key(WORKSPACE, scopes=("predict", "write"))
        control.publish()
        with start(**variables) as replica:
            two = Two(replica, control, key)
            reach(lambda: {two.predict(name).status_code for name in ("good", "bad")} == {200})
            yield two

    return run


def test_an_uploaded_model_answers_at_every_door_as_a_trained_one_does(begin: Begin, reach: Any) -> None:
    table = {"inputs": [ROW, {**ROW, "age": 60.0}]}
    frame = {"dataframe_records": [ROW]}
    v2 = {
        "inputs": [
            {"name": "age", "datatype": "FP64", "shape": [1, 1], "data": [40.0]},
            {"name": "hours", "datatype": "FP64", "shape": [1, 1], "data": [38.0]},
            {"name": "city", "datatype": "BYTES", "shape": [1, 1], "data": ["Oslo"]},
        ]
    }
    with begin() as two:
        (pid,) = two.processes
        for path, body, part in (
            ("/predict/{}", {"input_data": ROW}, "probabilities"),
            ("/predict/{}/batch", table, "predictions"),
            ("/predict/{}/explain", {"input_data": ROW}, "explanations"),
            ("/v2/models/{}/infer", v2, "outputs"),
            ("/models/{}/invocations", frame, "predictions"),
        ):
            good, bad = (two.ask(path.format(name), body) for name in ("good", "bad"))
            assert (good.status_code, bad.status_code) == (200, 200), bad.text
            assert good.json()[part] == bad.json()[part]
        wrong = two.ask("/predict/bad", {"input_data": {**ROW, "age": "old"}})
        assert wrong.status_code == 422
        assert two.processes == [pid]
        assert two.replica.metric("isolated_model_processes") == 1
        two.ask("/v2/repository/models/bad/unload", {})
        assert two.index()["bad"]["state"] == "UNAVAILABLE"
        reach(lambda: two.processes == [])
        assert two.predict().status_code == 200
        (pid,) = two.processes
    reach(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())


def test_an_uploaded_model_in_the_shared_folder_predicts_apart_too(
    build: Any, launch: Any, tmp_path: Path, reach: Any
) -> None:
    copy(build("demo", uploaded=True).path, tmp_path / "demo.mill")
    with launch(tmp_path, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(tmp_path)) as replica:
        reach(lambda: replica.predict("demo").status_code == 200)
        assert len(processes(replica.process.pid)) == 1


def test_without_isolation_nothing_is_started(begin: Begin) -> None:
    with begin(MILL_SERVING__ISOLATE_UPLOADED="false") as two:
        assert two.predict().status_code == 200
        assert two.processes == []


@dataclass
class Callers:
    """Call both models without a pause until told to stop: `good` in rows and blocks, `bad` in rows."""

    two: Two
    answers: dict[str, list[httpx.Response]] = field(default_factory=dict[str, list[httpx.Response]])
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Callers":
        paths = ("/predict/good", "/predict/good/batch", "/predict/bad")
        self._threads = [threading.Thread(target=self._run, args=(path,)) for path in paths]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def others(self) -> list[httpx.Response]:
        return self.answers["/predict/good"] + self.answers["/predict/good/batch"]

    def _run(self, path: str) -> None:
        body = {"inputs": [ROW] * 50} if path.endswith("batch") else {"input_data": ROW, "use_cache": False}
        answers = self.answers.setdefault(path, [])
        with httpx.Client(base_url=self.two.replica.http.base_url, timeout=20) as http:
            while not self._stop.is_set():
                answers.append(http.post(path, json=body, headers={"x-api-key": self.two.key}))


def test_a_model_that_is_killed_again_and_again_costs_nobody_else_an_answer(begin: Begin, reach: Any) -> None:
    dice = random.Random(32)  # noqa: S311 - to be repeated, not to be secret
    with begin(MILL_SERVING__ISOLATED_CRASHES="1000") as two, Callers(two) as callers:
        for number in range(12):
            (pid,) = reach(lambda: two.processes)
            time.sleep(dice.uniform(0.0, 0.7))
            os.kill(pid, dice.choice(SIGNALS))
            reach(lambda number=number: two.replica.metric("isolated_model_crashes_total") == number + 1)
        reach(lambda: two.predict().status_code == 200)
    bad = callers.answers["/predict/bad"]
    refused = [answer for answer in bad if answer.status_code != 200]
    assert {answer.status_code for answer in refused} <= {503}
    assert all(answer.json()["type"].endswith("model-crashed") and answer.headers["retry-after"] for answer in refused)
    assert len(refused) <= 12
    assert len(bad) > 100
    assert len(callers.others) > 100
    assert {answer.status_code for answer in callers.others} == {200}


def test_a_model_that_hangs_is_ended_in_time_and_holds_up_nobody(begin: Begin, reach: Any) -> None:
    with begin(MILL_SERVING__ISOLATED_SECONDS="1") as two, Callers(two) as callers:
        os.kill(two.processes[0], signal.SIGSTOP)
        begun = time.monotonic()
        reach(lambda: two.replica.metric("isolated_model_crashes_total") == 1)
        assert time.monotonic() - begun < 10
        reach(lambda: two.predict().status_code == 200)
    (hung,) = (answer for answer in callers.answers["/predict/bad"] if answer.status_code != 200)
    assert hung.status_code == 503
    assert "did not answer within 1 s" in hung.json()["detail"]
    assert {answer.status_code for answer in callers.others} == {200}
    assert max(answer.elapsed.total_seconds() for answer in callers.others) < 1.0


def suspend(two: Two, reach: Any) -> httpx.Response:
    """Kill its process until it is suspended; the answer that says so."""
    for number in range(3):
        reach(lambda: two.predict().status_code == 200)
        os.kill(two.processes[0], signal.SIGSEGV)
        reach(lambda number=number: two.predict() and two.replica.metric("isolated_model_crashes_total") == number + 1)
    return two.predict()


def test_the_third_crash_suspends_the_model_and_a_load_gives_it_another_try(begin: Begin, reach: Any) -> None:
    with begin() as two:
        answer = suspend(two, reach)
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:modelmill:problem:model-suspended"
        assert "SIGSEGV" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "5"
        assert two.index()["bad"]["state"] == "UNAVAILABLE"
        assert "SIGSEGV" in two.index()["bad"]["reason"]
        assert two.index()["good"]["state"] == "READY"
        assert two.predict("good").status_code == 200
        assert two.replica.http.get("/health/ready").status_code == 200
        detailed = two.replica.http.get("/health/detailed").json()
        assert detailed["status"] == "degraded"
        (told,) = detailed["suspended_models"].values()
        assert "SIGSEGV" in told
        assert two.replica.metric("isolated_models_suspended") == 1
        assert two.processes == []
        assert "uploaded_model_crashed" in two.replica.log.read_text()
        assert two.ask("/v2/repository/models/bad/load", {}).status_code == 200
        assert two.predict().status_code == 200
        assert two.index()["bad"]["state"] == "READY"
        assert two.replica.metric("isolated_models_suspended") == 0


def test_to_deploy_it_again_gives_a_suspended_model_another_try(begin: Begin, reach: Any) -> None:
    with begin() as two:
        assert suspend(two, reach).status_code == 503
        two.control.publish()
        reach(lambda: two.replica.number() == two.control.number)
        assert two.predict().status_code == 503  # another change of the snapshot is no pardon
        two.control.routes[1] = two.control.routes[1].model_copy(update={"deployed_at": datetime.now(UTC)})
        two.control.publish()
        reach(lambda: two.predict().status_code == 200)


def test_all_workers_of_a_replica_count_the_same_crashes(begin: Begin, reach: Any) -> None:
    with begin(MILL_SERVING__WORKERS="2") as two:
        url = str(two.replica.http.base_url).rstrip("/")

        def statuses(calls: int = 12) -> set[int]:
            """Over connections of their own, so that both workers are asked."""
            body, headers = {"input_data": ROW, "use_cache": False}, {"x-api-key": two.key}
            return {httpx.post(f"{url}/predict/bad", json=body, headers=headers).status_code for _ in range(calls)}

        reach(lambda: statuses() == {200} and len(two.processes) == 2)
        for number in range(3):
            os.kill(reach(lambda: two.processes)[0], signal.SIGKILL)
            reach(lambda number=number: statuses() and two.replica.metric("isolated_model_crashes_total") == number + 1)
        reach(lambda: statuses() == {503})
