"""Clients that use a stack while it is harmed, each alone in a workspace, and write down what they were told."""

import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tests.faults.history import ClientLog, Outcome

PATIENCE = 8.0
BACK_OFF = 0.4
ROWS = 40


@dataclass(frozen=True)
class User:
    """One person with a workspace, a project and an API key of their own."""

    name: str
    http: httpx.Client
    project: str

    @classmethod
    def register(cls, api_url: str, name: str, patience: float = PATIENCE) -> Self:
        """On a stack that is still well. Raises `HTTPStatusError`."""
        username, password = f"{name}-{secrets.token_hex(3)}", secrets.token_urlsafe(16)
        http = httpx.Client(base_url=api_url, timeout=patience, trust_env=False)
        wish = {"email": f"{username}@example.com", "username": username, "password": password, "full_name": name}
        http.post("/api/v1/auth/register", json=wish, timeout=30).raise_for_status()
        signed = http.post("/api/v1/auth/token", data={"username": username, "password": password}, timeout=30)
        bearer = {"Authorization": f"Bearer {signed.raise_for_status().json()['access_token']}"}
        wish = {"name": "faults", "scopes": ["read", "write", "predict"]}
        key = http.post("/api/v1/api-keys", json=wish, headers=bearer, timeout=30).raise_for_status().json()["key"]
        http.headers["X-API-Key"] = key
        project = http.post("/api/v1/projects", json={"name": name}, timeout=30).raise_for_status().json()["id"]
        return cls(name, http, project)

    def close(self) -> None:
        self.http.close()

    def upload(self, name: str, data: bytes) -> httpx.Response:
        form = {"name": name, "project_id": self.project}
        return self.http.post("/api/v1/datasets", data=form, files={"file": (f"{name}.csv", data)})

    def train(self, name: str, dataset: str, **parameters: Any) -> httpx.Response:
        wish = {
            "name": name,
            "project_id": self.project,
            "dataset_id": dataset,
            "model_type": "classification",
            "framework": "xgboost",
            "parameters": {"n_estimators": 2, **parameters},
        }
        return self.http.post("/api/v1/models", json=wish)

    def pages(self, path: str) -> list[dict[str, Any]]:
        """Everything a list shows."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            asked = {"limit": 100} | ({"cursor": cursor} if cursor else {})
            page = self.http.get(path, params=asked, timeout=30).raise_for_status().json()
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def table(chance: random.Random, rows: int = ROWS) -> bytes:
    """A small table that can be trained on; hardly ever the same twice."""
    lines = ["a,b,label"]
    lines += [f"{chance.random():.6f},{chance.randrange(100)},{'yes' if n % 2 else 'no'}" for n in range(rows)]
    return ("\n".join(lines) + "\n").encode()


@dataclass
class Client:
    """Does what its seed says until `quota` jobs were accepted and it is `enough`. Run `run` in a thread."""

    user: User
    log: ClientLog
    chance: random.Random
    quota: int
    trainings: float = 0.08
    enough: Callable[[], bool] = lambda: True
    in_flight: int = 12
    asked: int = 0
    jobs: list[str] = field(default_factory=list[str])
    datasets: list[str] = field(default_factory=list[str])
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set() and (len(self.jobs) < self.quota or not self.enough()):
            if self._must_wait():
                self.stop.wait(0.2)
                continue
            chance = self.chance.random()
            if chance < 0.15 and self.jobs:
                self._see(self.chance.choice(self.jobs))
            elif chance < 0.22 and self.jobs:
                self._cancel(self.chance.choice(self.jobs[-5:]))
            elif chance < 0.22 + self.trainings and self.datasets:
                self._train(self.chance.choice(self.datasets))
            else:
                self._upload()

    def _must_wait(self) -> bool:
        """Enough is under way: jobs that have not ended, as far as the service says."""
        try:
            queued = self.user.http.get("/api/v1/jobs", params={"state": "queued", "limit": self.in_flight}).json()
            return len(queued.get("items", [])) >= self.in_flight
        except (httpx.HTTPError, ValueError):
            return False

    def _upload(self) -> None:
        self.asked += 1
        name = f"{self.user.name}-{self.asked}"
        data = table(self.chance)
        value = {"name": name, "sha256": hashlib.sha256(data).hexdigest()}
        answer = self._do("upload", value, lambda: self.user.upload(name, data), job="job_id", id="id")
        if answer:
            self.jobs.append(answer["job"])
            self.datasets.append(answer["id"])

    def _train(self, dataset: str) -> None:
        self.asked += 1
        name = f"{self.user.name}-m{self.asked}"
        answer = self._do("train", {"name": name}, lambda: self.user.train(name, dataset), job="job_id", id="id")
        if answer:
            self.jobs.append(answer["job"])

    def _see(self, job: str) -> None:
        self._do("see", {"job": job}, lambda: self.user.http.get(f"/api/v1/jobs/{job}"), state="state")

    def _cancel(self, job: str) -> None:
        self._do("cancel", {"job": job}, lambda: self.user.http.post(f"/api/v1/jobs/{job}/cancel"), state="state")

    def _do(
        self, what: str, value: Mapping[str, Any], act: Callable[[], httpx.Response], **wanted: str
    ) -> dict[str, Any] | None:
        """The wanted members of the answer; None when there was none or it was a refusal."""
        operation = self.log.invoke(self.user.name, what, value)
        try:
            answer = act()
        except httpx.HTTPError as error:
            self.log.done(operation, Outcome.UNKNOWN, {"error": type(error).__name__})
            time.sleep(BACK_OFF)
            return None
        if answer.is_success:
            document = answer.json()
            found = {name: document[member] for name, member in wanted.items()}
            self.log.done(operation, Outcome.OK, found)
            return found
        outcome = Outcome.FAIL if answer.status_code < 500 else Outcome.UNKNOWN
        self.log.done(operation, outcome, {"status": answer.status_code})
        if answer.status_code >= 500:
            time.sleep(BACK_OFF)
        return None
