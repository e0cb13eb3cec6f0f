"""All that ml-service is not: killed at once, while it answers; and what is away when a new version comes. With the real parts."""

import contextlib
import os
import signal
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from mill_kit.store import ObjectStore
from mill_kit.store.open import open_store
from mill_local.home import Home
from mill_local.parts import ServicePart
from mill_local.plan import Plan, StackOptions
from mill_local.ports import free_port
from mill_local.process import Child
from modelmill import Client

from tests.conftest import QUICK, eventually

PASSWORD = "a password that holds"
TABLE = "size,city,label\n" + "".join(
    f"{row % 17},{['Oslo', 'Bergen'][row % 2]},{['no', 'yes'][(row % 17) > 8]}\n" for row in range(200)
)
ROW = {"size": 12, "city": "Oslo"}


@dataclass
class Parts:
    """A stack without a supervisor: what is killed stays dead until the test starts it again."""

    plan: Plan
    serving: ServicePart
    control: list[ServicePart]

    @property
    def servers(self) -> list[Any]:
        return [self.plan.servers.postgres, self.plan.servers.broker, self.plan.servers.cache]

    def start(self) -> None:
        for server in self.servers:
            server.start()
        self.serving.start()
        self.plan.servers.postgres.create_database()
        migration = Child.start(self.plan.migration())
        assert migration.wait(120)
        assert migration.exit_code() == 0, migration.log_tail()
        for part in self.control:
            part.start()
        for part in (self.serving, *self.control):
            part.wait_ready(Event())

    def kill_control(self) -> None:
        """The api-server and both workers."""
        for part in self.control:
            if part.pid is not None:
                os.kill(part.pid, signal.SIGKILL)

    def kill_servers(self) -> None:
        for server in self.servers:
            server.kill()

    def stop(self) -> None:
        for part in (*self.control, self.serving):
            part.stop()
        for server in self.servers:
            if server.is_running():
                server.stop()


@contextmanager
def stack(folder: Path, environment: Mapping[str, str]) -> Generator[Parts]:
    options = StackOptions(api_port=free_port(), serving_port=free_port(), environment={**QUICK, **environment})
    home = Home(folder)
    with home.alone():
        plan = Plan.make(home, options)
        parts = Parts(plan, plan.data_plane(), plan.control_plane())
        try:
            parts.start()
            yield parts
        finally:
            parts.stop()


@pytest.fixture
def store_settings(mortal_s3: Any) -> dict[str, str]:
    server = mortal_s3.server
    return {
        "MILL_STORE__URL": server.url("down"),
        "MILL_STORE__ACCESS_KEY": server.access_key,
        "MILL_STORE__SECRET_KEY": server.secret_key,
        "MILL_STORE__POLL_SECONDS": "0.2",
        "MILL_SERVING__RETRY_SECONDS": "0.2",
        "MILL_LOG_LEVEL": "WARNING",
    }


def objects(mortal_s3: Any) -> ObjectStore:
    server = mortal_s3.server
    return open_store(server.url("down"), server.access_key, server.secret_key)


def test_a_warm_service_answers_alone_keeps_its_version_and_finds_the_others_again(
    tmp_path: Path, mortal_s3: Any, store_settings: dict[str, str]
) -> None:
    store = objects(mortal_s3)
    with stack(tmp_path / "home", store_settings) as parts:
        mill = member(parts)
        first = trained(mill, tmp_path)
        mill.models.deploy(first)
        mill.models.wait_deployed(first)
        key = api_key(parts, mill)
        with httpx.Client(base_url=parts.plan.serving_url, timeout=30) as caller:
            eventually(lambda: answered(caller, key) == (200, 1), 30, "version 1 answers to the key")

            # A new version whose package is gone never takes the place of the one that works.
            second = trained(mill, tmp_path)
            package = next(name for name in store.keys(f"models/{newest_version(mill, second)}/"))
            kept = store.get(package)
            store.delete(package)
            mill.models.deploy(second)
            eventually(lambda: mill.models.deployment(second).status == "failed", 30, "the new version is seen to fail")
            assert answered(caller, key) == (200, 1)

            parts.kill_control()
            parts.kill_servers()
            mortal_s3.end(kill=True)
            for _ in range(100):
                begun = time.perf_counter()
                assert answered(caller, key) == (200, 1)
                assert time.perf_counter() - begun < 5.0
            assert answered(caller, "mm_" + "0" * 64)[0] == 401
            block = caller.post("/predict/bought/batch", json={"inputs": [ROW] * 200}, headers={"x-api-key": key})
            assert block.status_code == 200
            assert caller.get("/health/ready").status_code == 200
            eventually(
                lambda: caller.get("/health/detailed").json()["status"] == "degraded", 60, "it knows it is alone"
            )
            assert answered(caller, key) == (200, 1)

            mortal_s3.start()
            for server in parts.servers:
                server.start()
            for part in parts.control:
                part.start()
            store.put(package, kept)
            eventually(lambda: answered(caller, key) == (200, 2), 90, "the new version is fetched and answers")
            eventually(lambda: is_deployed(mill, second), 60, "the api-server sees it too")
            eventually(lambda: caller.get("/health/detailed").json()["status"] == "healthy", 60, "all sources are back")
        mill.close()


def member(parts: Parts) -> Client:
    with Client(parts.plan.api_url) as anyone:
        anyone.auth.register(email="ada@example.com", username="ada", password=PASSWORD, full_name="Ada")
    return Client(parts.plan.api_url, username="ada", password=PASSWORD)


def trained(mill: Client, folder: Path) -> str:
    """The next version of `bought`."""
    table = folder / "bought.csv"
    table.write_text(TABLE)
    known = next(iter(mill.projects.list()), None)
    project = known or mill.projects.create("Shop")
    dataset = next(iter(mill.datasets.list(project_id=project.id)), None) or mill.datasets.upload(
        table, project_id=project.id
    )
    model = mill.models.train(
        "bought",
        project_id=project.id,
        dataset_id=dataset.id,
        framework="scikit-learn",
        algorithm="logistic_regression",
        target="label",
    )
    return mill.models.wait(model, timeout=120).id


def newest_version(mill: Client, model_id: str) -> str:
    return max(mill.models.versions(model_id), key=lambda version: version.version).id


def api_key(parts: Parts, mill: Client) -> str:
    token = httpx.post(
        f"{parts.plan.api_url}/api/v1/auth/token", data={"username": "ada", "password": PASSWORD}, timeout=30
    ).json()["access_token"]
    answer = httpx.post(
        f"{parts.plan.api_url}/api/v1/api-keys",
        json={"name": "till", "scopes": ["predict"]},
        headers={"authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    assert mill is not None
    return str(answer.json()["key"])


def answered(caller: httpx.Client, key: str) -> tuple[int, int]:
    """The status, and the version that answered."""
    answer = caller.post("/predict/bought", json={"input_data": ROW}, headers={"x-api-key": key})
    return answer.status_code, answer.json()["metadata"]["version"] if answer.status_code == 200 else 0


def is_deployed(mill: Client, model_id: str) -> bool:
    with contextlib.suppress(Exception):
        return mill.models.deployment(model_id).status == "deployed"
    return False
