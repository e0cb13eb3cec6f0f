"""Promise 37: a real Prometheus with the shipped rules looks at a real stack in its faults, told thirty times quicker and more.

`--part parts`, `jobs` or `serving` runs one of three courses of faults, each with a quiet time before it. An alert that fires without its
fault is a failure, as is one that does not fire within its window.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from mill_contracts.routing import SNAPSHOT_CHANNEL
from mill_local.ports import free_port

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import CENSUS, dataset, state
from tests.faults.experiments.uploads import flip, key_of
from tests.faults.promises import ROOT, Figure, Result
from tests.faults.suite import run_suite
from tests.faults.timelapse import Watch, prometheus
from tests.faults.workload import User, table

QUIET_SECONDS = 20.0
SMALL = {
    "MILL_SERVING__THREADS": "1",
    "MILL_SERVING__WAITING_BLOCKS": "1",
    "MILL_SERVING__WAITING_BLOCKS_PER_MODEL": "1",
}
ENDED = ("succeeded", "failed", "cancelled")
ROW = {"feature1": 1.0, "feature2": 2.0, "feature3": 3.0, "feature4": 4.0}


@dataclass
class Scene:
    """A stack, a second replica of ml-service, whoever asks for their health, and Prometheus."""

    running: Cluster
    watch: Watch
    user: User
    course: Course
    replica: "subprocess.Popen[bytes]"
    places: list[str]
    expected: set[str] = field(default_factory=set[str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    late: list[str] = field(default_factory=list[str])
    false: set[str] = field(default_factory=set[str])

    @contextmanager
    def fault(self, *alerts: str, also: tuple[str, ...] = (), within: float) -> Generator[None]:
        """The block harms something and leaves it harmed; afterwards these alerts fire within so many seconds, and none but
        those that are due by now. `also`: due as well, though this fault is not their trial."""
        self.expected |= {*alerts, *also}
        self.watch.begin()
        yield
        with suppress(TimeoutError):
            until(lambda: set(alerts) <= set(self.watch.look()), within, ", ".join(alerts), every=0.2)
        for alert in alerts:
            if alert in self.watch.fired:
                self.seconds[alert] = round(self.watch.fired[alert], 1)
            else:
                self.late.append(alert)
        self.false |= set(self.watch.fired) - self.expected

    def quiet(self, seconds: float) -> None:
        """Some use and no fault."""
        self.watch.begin()
        deadline = time.monotonic() + seconds
        number = 0
        while time.monotonic() < deadline:
            number += 1
            self.user.upload(f"quiet{number}", table(self.course.random(f"quiet{number}")))
            self.predict()
            self.false |= set(self.watch.look())
            time.sleep(1)

    def predict(self, rows: int = 1) -> int:
        """The status; 0 when there was no answer."""
        with suppress(httpx.HTTPError):
            wish = {"inputs": [ROW] * rows}
            url = f"{self.running.serving_url}/predict/demo_model_1/batch"
            return httpx.post(url, json=wish, timeout=20, trust_env=False).status_code
        return 0

    def healed(self) -> None:
        self.running.heal()
        self.running.ready(90)


Play = Callable[[Scene], None]


def alerts(course: Course) -> list[Result]:
    """promtool's tests of every alert, then the faults themselves."""
    results = run_suite(course, course.promise(37)) if course.part in ("", "tests") else []
    for name, play in PLAYS.items():
        if course.part in ("", name):
            results.append(acted(course, name, play))
    return results


def acted(course: Course, name: str, play: Play) -> Result:
    trial = Trial(course, 37, f"real faults: {name}")
    program = shutil.which("prometheus")
    if program is None:
        return replace(trial.result(0, 0), notes="prometheus is not at hand: apt-get install prometheus")
    with staged(course, course.folder / f"alerts-{name}", program) as scene:
        scene.quiet(QUIET_SECONDS)
        play(scene)
    figures: dict[str, Figure] = {
        **{f"{alert}, seconds": seconds for alert, seconds in scene.seconds.items()},
        "quiet seconds before": QUIET_SECONDS,
        "did not fire": ", ".join(scene.late) or 0,
        "fired without a fault": ", ".join(sorted(scene.false)) or 0,
    }
    tried = len(scene.seconds) + len(scene.late)
    result = trial.result(tried, len(scene.late) + len(scene.false), figures, NOTES)
    return replace(result, command=f"{result.command} PART={name}")


NOTES = "Durations of the rules are divided by 30 (hours and days by more, see `timelapse.py`), all else is as shipped."


@contextmanager
def staged(course: Course, folder: Path, program: str) -> Generator[Scene]:
    with ExitStack() as stack:
        running = stack.enter_context(cluster(folder, SMALL, proxied=False))
        port = free_port()
        second = stack.enter_context(replica(folder, port))
        api, serving = (url.removeprefix("http://") for url in (running.api_url, running.serving_url))
        places = [api, serving, f"127.0.0.1:{port}"]
        stop = threading.Event()
        nurse = threading.Thread(target=ask_for_health, args=(places, stop))
        nurse.start()
        stack.callback(nurse.join)
        stack.callback(stop.set)
        targets = {"api-server": places[:1], "ml-service": places[1:]}
        watch = stack.enter_context(prometheus(program, folder / "prometheus", targets))
        user = User.register(running.api_url, "alarmed", 30)
        stack.callback(user.close)
        yield Scene(running, watch, user, course, second, places)


@contextmanager
def replica(folder: Path, port: int) -> Generator["subprocess.Popen[bytes]"]:
    """A second ml-service, which knows the shared models alone."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MILL_")}
    own |= {"MILL_ENVIRONMENT": "test", "MILL_SERVING__CACHE_DIR": str(folder / "second")}
    own |= {"MILL_SERVING__SHARED_MODELS_DIR": str(ROOT / "shared-models")}
    command = [sys.executable, "-m", "mill_serving", "serve", "--port", str(port)]
    with (folder / "second.log").open("wb") as log:
        process = subprocess.Popen(command, env=own, stdout=log, stderr=log)
    try:
        until(lambda: _asked(f"127.0.0.1:{port}") == 200, 60, "the second replica answers")
        yield process
    finally:
        process.kill()
        process.wait(20)


def ask_for_health(places: list[str], stop: threading.Event) -> None:
    """What Docker's health checks do: metrics tell what was last found."""
    asking = [threading.Thread(target=_ask_for_ever, args=(place, stop)) for place in places]
    for one in asking:
        one.start()
    for one in asking:
        one.join()


def _ask_for_ever(place: str, stop: threading.Event) -> None:
    while not stop.wait(0.4):
        _asked(place)


def _asked(place: str) -> int:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://{place}/health/detailed", timeout=5, trust_env=False).status_code
    return 0


def of_parts(scene: Scene) -> None:
    """Replicas, services, cache, store, database; and the errors that users see meanwhile."""
    running = scene.running
    with scene.fault("ReplicaMissing", within=20):
        scene.replica.kill()
    with scene.fault("MlServiceAway", within=15):
        running.freeze("ml-service")
    scene.healed()
    with scene.fault("ApiServerAway", within=15):
        running.freeze("api-server")
    scene.healed()
    aside = running.home.objects.with_name("objects-aside")
    with scene.fault("ObjectStoreAway", "CacheAway", "SnapshotIsOld", within=45):
        running.freeze("cache")
        running.home.objects.rename(aside)
    if running.home.objects.exists():
        shutil.rmtree(running.home.objects)
    aside.rename(running.home.objects)
    scene.healed()
    with _nobody_starts_anything(running):
        with scene.fault("DatabaseAway", "ErrorBudgetBurnsFast", "ErrorBudgetBurns", "ErrorBudgetShrinks", within=30):
            running.kill("postgres")
            stop = threading.Event()
            insistent = threading.Thread(target=_insist, args=(scene.user, stop))
            insistent.start()
        stop.set()
        insistent.join()


def _insist(user: User, stop: threading.Event) -> None:
    """Goes on asking, whatever the answer."""
    while not stop.wait(0.05):
        with suppress(httpx.HTTPError):
            user.http.get("/api/v1/projects", timeout=3)


@contextmanager
def _nobody_starts_anything(running: Cluster) -> Generator[None]:
    """What dies stays dead: the supervisor is frozen."""
    supervisor = running.state().pid
    os.kill(supervisor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def of_jobs(scene: Scene) -> None:
    """Workers that die, freeze and go, a broker that is silent, jobs that fail."""
    running, user = scene.running, scene.user
    data = dataset(user, "census", CENSUS.read_bytes())
    with scene.fault("JobsFail", within=30):
        for number in range(9):
            user.upload(f"bad{number}", b"a,b,label\n").raise_for_status()
    with scene.fault("CanarySilent", within=45):
        running.freeze("broker")
    running.heal()
    with scene.fault("WorkersDie", also=("LeasesExpired", "JobsWaitTooLong", "WorkerAway", "CanarySilent"), within=30):
        job = _die(scene, data)
    user.http.post(f"/api/v1/jobs/{job}/cancel")
    until(lambda: state(running, job) in ENDED, 60, "the victim has ended")
    _training(user, data, "running")
    until(lambda: bool(running.trainers()), 60, "a training runs")
    _training(user, data, "waiting")
    with scene.fault(
        "WorkerAway", "SweepStopped", "LeasesExpired", "JobsWaitTooLong", also=("CanarySilent",), within=60
    ):
        running.freeze("worker-ml")
        running.freeze("worker-data")
    running.thaw()
    _without_workers(scene)


def _die(scene: Scene, data: str) -> str:
    """Five times in the middle of a training; a job that has had its attempts is followed by another."""
    running, job = scene.running, ""
    for number in range(5):
        if not job or state(running, job) in ENDED:
            job = _training(scene.user, data, f"victim{number}")
        until(
            lambda job=job: (
                state(running, job) in ENDED or (state(running, job) == "running" and bool(running.trainers()))
            ),
            60,
            "a training runs",
        )
        running.kill("worker-ml")
        until(lambda: not running.trainers(), 30, "the trainer is gone")
        scene.watch.look()
    return job


def _training(user: User, data: str, name: str) -> str:
    """A long one."""
    return str(user.train(name, data, n_estimators=4000, max_depth=8).raise_for_status().json()["job_id"])


def _without_workers(scene: Scene) -> None:
    """They are stopped in order, and nobody starts them again."""
    workers = [scene.running.pid(name) for name in ("worker-ml", "worker-data")]
    with _nobody_starts_anything(scene.running), scene.fault("NoWorker", within=60):
        for pid in workers:
            os.kill(pid, signal.SIGTERM)


def of_serving(scene: Scene) -> None:
    """Snapshots of strangers, packages that are broken, more predictions than there is room for, slow ones."""
    running, user = scene.running, scene.user
    with scene.fault("SnapshotRefused", within=30), running.redis("cache") as server:
        server.publish(SNAPSHOT_CHANNEL, json.dumps({"number": 10**9}))  # pyright: ignore[reportUnknownMemberType]
    data = dataset(user, "small", table(scene.course.random("small")))
    made = user.train("broken", data).raise_for_status().json()
    until(lambda: state(running, made["job_id"]) == "succeeded", 120, "the model is trained")
    key = key_of(running, "package_key", "model_versions", "model_id", made["id"])
    with scene.fault("ModelsFailToLoad", within=60):
        flip(running.home.objects / key, scene.course.random("flip"))
        user.http.post(f"/api/v1/models/{made['id']}/deploy").raise_for_status()
    stop = threading.Event()
    with scene.fault("PredictionsRefused", "PredictionsAreSlow", within=60):
        crowd = [threading.Thread(target=_press, args=(scene, stop)) for _ in range(12)]
        pausing = threading.Thread(target=_pause, args=(running.pid("ml-service"), stop))
        for one in (*crowd, pausing):
            one.start()
    stop.set()
    for one in (*crowd, pausing):
        one.join()


def _press(scene: Scene, stop: threading.Event) -> None:
    while not stop.is_set():
        scene.predict(10_000)


def _pause(pid: int, stop: threading.Event) -> None:
    """What a machine with too little processor does to it: it runs for moments."""
    while not stop.wait(0.15):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.15)
        os.kill(pid, signal.SIGCONT)


PLAYS: Mapping[str, Play] = {"parts": of_parts, "jobs": of_jobs, "serving": of_serving}
