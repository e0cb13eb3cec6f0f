"""Promise 24: mixed load for hours. Memory, descriptors and sessions of the database stay where they were; nothing fails."""

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np

from tests.faults.cluster import Cluster, cluster, until
from tests.faults.course import Course, Trial
from tests.faults.experiments.death import dataset
from tests.faults.promises import Figure, Result
from tests.faults.workload import User, table

PARTS = ("api-server", "ml-service", "worker-ml", "worker-data")
SAMPLE_SECONDS = 5.0
PAUSE = 0.02
MOST_PER_HOUR, LEAST_NOTED = 0.01, 0.01
"""Growth: 1 % an hour, but never less than 1 % of the whole, which an allocator may move in a short run."""
MOST_DESCRIPTORS = 8
T = TypeVar("T")
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


@dataclass(frozen=True)
class Sample:
    at: float
    rss_mib: dict[str, float]
    descriptors: dict[str, int]
    sessions: int


@dataclass
class Mixed:
    """Predicts, reads, uploads and trains in turn until it is stopped."""

    running: Cluster
    user: User
    chance: random.Random
    data: str
    stop: threading.Event = field(default_factory=threading.Event)
    answers: Counter[str] = field(default_factory=Counter[str])

    def run(self) -> None:
        with httpx.Client(base_url=self.running.serving_url, headers=self.user.http.headers, timeout=30) as serving:
            number = 0
            while not self.stop.wait(PAUSE):
                number += 1
                with suppress(httpx.HTTPError):
                    self.answers[str(self._ask(serving, number).status_code)] += 1
                    continue
                self.answers["no answer"] += 1

    def _ask(self, serving: httpx.Client, number: int) -> httpx.Response:
        row = {"a": self.chance.random(), "b": self.chance.randrange(100)}
        if number % 500 == 250:
            return self.user.train(f"{self.user.name}-{number}", self.data)
        if number % 250 == 0:
            return self.user.upload(f"{self.user.name}-{number}", table(self.chance))
        match number % 10:
            case 0:
                return self.user.http.get("/api/v1/models", params={"limit": 20})
            case 1:
                return self.user.http.get("/api/v1/jobs", params={"limit": 20})
            case 2:
                return self.user.http.post("/api/v1/predictions", json={"model": "base", "input_data": row})
            case 3 | 4:
                return serving.post("/predict/base/batch", json={"inputs": [row] * 50})
            case _:
                return serving.post("/predict/base", json={"input_data": row})


def soak(course: Course) -> list[Result]:
    trial, minutes = Trial(course, 24, "mixed load"), course.trials(24)
    with cluster(course.folder / "soak", proxied=False) as running:
        user = User.register(running.api_url, "soaker", 30)
        data = dataset(user, "table", table(course.random("soak"), 500))
        model = user.train("base", data).raise_for_status().json()["id"]
        until(lambda: _status(user, model) == "trained", 120, "the model is trained")
        user.http.post(f"/api/v1/models/{model}/deploy", json={}).raise_for_status()
        until(lambda: _status(user, model) == "deployed", 60, "the model is deployed")
        mixed = [Mixed(running, user, course.random(f"soak{number}"), data) for number in range(2)]
        samples = _loaded(running, mixed, min(minutes * 60.0, course.left(0.5)), course)
    answers = sum((one.answers for one in mixed), Counter[str]())
    wrong = sum(number for status, number in answers.items() if not status.startswith("2"))
    grown = {part: per_hour(samples, part) for part in PARTS}
    opened = {part: _opened(samples, part) for part in PARTS}
    sessions = [one.sessions for one in samples]
    figures: dict[str, Figure] = {
        "answers": ", ".join(f"{status} × {number}" for status, number in sorted(answers.items())),
        **{f"memory of {part}, % an hour": round(share * 100, 2) for part, share in grown.items()},
        **{f"memory of {part} at the end, MiB": round(samples[-1].rss_mib[part]) for part in PARTS},
        "most descriptors more than at first": max(opened.values()),
        "sessions of the database, second quarter and last": f"{_middle(sessions, 1)} and {_middle(sessions, 3)}",
    }
    broken = [
        wrong > 0,
        any(share > MOST_PER_HOUR for share in grown.values()),
        any(more > MOST_DESCRIPTORS for more in opened.values()),
        _middle(sessions, 3) > _middle(sessions, 1) + 1,
    ]
    notes = "Growth is from the median of the second quarter to that of the last; less than 1 % in all counts as none."
    tried = round((samples[-1].at - samples[0].at) / 60)
    return [trial.result(tried, sum(broken), figures, notes)]


def _status(user: User, model: str) -> str:
    return str(user.http.get(f"/api/v1/models/{model}").raise_for_status().json()["status"])


def _loaded(running: Cluster, mixed: Sequence[Mixed], seconds: float, course: Course) -> list[Sample]:
    threads = [threading.Thread(target=one.run) for one in mixed]
    for thread in threads:
        thread.start()
    began, samples = time.monotonic(), list[Sample]()
    try:
        while time.monotonic() - began < seconds + SAMPLE_SECONDS:
            samples.append(_sample(running))
            if len(samples) % 60 == 0:
                course.say(f"    {(time.monotonic() - began) / 60:.0f} minutes")
            time.sleep(SAMPLE_SECONDS)
    finally:
        for one in mixed:
            one.stop.set()
        for thread in threads:
            thread.join()
    return samples


def _sample(running: Cluster) -> Sample:
    pids = {part: running.pid(part) for part in PARTS}
    status = {part: Path(f"/proc/{pid}/status").read_text() for part, pid in pids.items()}
    return Sample(
        time.monotonic(),
        {part: int(text.partition("VmRSS:")[2].split()[0]) / 1024 for part, text in status.items()},
        {part: len(list(Path(f"/proc/{pid}/fd").iterdir())) for part, pid in pids.items()},
        int(running.query(_SESSIONS)),
    )


def per_hour(samples: Sequence[Sample], part: str) -> float:
    """The share by which its memory grows in an hour; 0 where it hardly grew at all."""
    early, late = _quarter(samples, 1), _quarter(samples, 3)
    before = statistics.median(one.rss_mib[part] for one in early)
    after = statistics.median(one.rss_mib[part] for one in late)
    hours = float(np.mean([one.at for one in late]) - np.mean([one.at for one in early])) / 3600
    share = (after - before) / before
    return share / hours if share > LEAST_NOTED else 0.0


def _opened(samples: Sequence[Sample], part: str) -> int:
    return _middle([one.descriptors[part] for one in samples], 3) - _middle(
        [one.descriptors[part] for one in samples], 1
    )


def _middle(values: Sequence[int], quarter: int) -> int:
    return round(statistics.median(_quarter(values, quarter)))


def _quarter(values: Sequence[T], number: int) -> Sequence[T]:
    size = max(1, len(values) // 4)
    return values[number * size : (number + 1) * size] or values[-1:]
