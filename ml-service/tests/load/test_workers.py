"""Several worker processes behind one port, on a running service: one service to its clients, its counters and its signals."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID

import httpx

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
REPORTS = {b"mill:replica:replica-1/0", b"mill:replica:replica-1/1"}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ask(url: str, times: int) -> Counter[int]:
    """Each call on a connection of its own, so that the kernel spreads them."""
    statuses: Counter[int] = Counter()
    for _ in range(times):
        statuses[httpx.post(f"{url}/predict/demo", json={"input_data": ROW}, timeout=10).status_code] += 1
    return statuses


def counted(replica: Any) -> int:
    return replica.http.get("/stats").json()["models"]["demo"]["requests"]


def test_workers_are_one_service(tmp_path: Path, build: Any, launch: Any, reach: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {
        "MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path),
        "MILL_SERVING__WORKERS": "2",
        "MILL_SERVING__CACHE_BYTES": str(2**26),
    }
    with launch(tmp_path, store=False, **variables) as replica:
        url = str(replica.http.base_url).rstrip("/")
        reach(lambda: replica.http.get("/stats").json()["global"]["workers"] == 2)
        assert ask(url, 40) == {200: 40}
        assert counted(replica) == 40
        assert replica.metric('inference_requests_total{model="demo",status="success"}') == 40
        assert replica.metric("workers") == 2
        assert replica.metric("model_cache_budget_bytes") == 2**26
        assert replica.http.get("/stats").json()["models"]["demo"]["latency_ms"]["p99"] > 0

        before = children(replica.process.pid)
        os.kill(before[0], signal.SIGKILL)
        reach(lambda: len(set(children(replica.process.pid)) - {before[0]}) == 2)
        reach(lambda: ready_everywhere(replica, url))
        earlier = counted(replica)
        assert earlier >= 40  # what the dead one counted is not forgotten
        assert ask(url, 20) == {200: 20}
        assert counted(replica) == earlier + 20

        started = children(replica.process.pid)
        assert replica.stop() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in started)


def ready_everywhere(replica: Any, url: str) -> bool:
    """Twenty new connections reach both workers."""
    try:
        return all(httpx.get(f"{url}/health/ready", timeout=5).status_code == 200 for _ in range(20))
    except httpx.TransportError:
        return False


def test_workers_go_on_after_their_supervisor_was_held(tmp_path: Path, build: Any, launch: Any, reach: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {"MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path), "MILL_SERVING__WORKERS": "2"}
    with launch(tmp_path, store=False, **variables) as replica:
        url = str(replica.http.base_url).rstrip("/")
        reach(lambda: replica.http.get("/stats").json()["global"]["workers"] == 2)
        before = children(replica.process.pid)
        for _ in range(3):
            os.kill(replica.process.pid, signal.SIGSTOP)
            held = time.monotonic()
            while time.monotonic() - held < 0.7:  # longer than the supervisor listens for a signal at a time
                assert ask(url, 2) == {200: 2}
            os.kill(replica.process.pid, signal.SIGCONT)
            assert ask(url, 20) == {200: 20}
        os.kill(before[0], signal.SIGKILL)
        reach(lambda: len(set(children(replica.process.pid)) - {before[0]}) == 2)
        assert before[1] in children(replica.process.pid)


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path, build: Any, launch: Any, reach: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {"MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path), "MILL_SERVING__WORKERS": "2"}
    with launch(tmp_path, store=False, **variables) as replica:
        started = children(replica.process.pid)
        assert len(started) == 2
        replica.process.kill()
        reach(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))


def test_a_package_is_fetched_once_for_all_workers_and_each_reports(
    control: Any, build: Any, start: Any, reach: Any, valkey: Any, cache: Any
) -> None:
    package = build("income")
    control.routes = [control.route(package, WORKSPACE)]
    key = control.api_key(WORKSPACE)
    control.publish()
    with start(redis_url=valkey.url, MILL_SERVING__WORKERS="2") as replica:
        reach(lambda: replica.predict("income", key).status_code == 200)
        reach(lambda: {bytes(name) for name in cache.keys("mill:replica:*")} == REPORTS)
        reach(lambda: replica.metric("model_loads_total") == 2)
        files = list((control.folder / "serving" / "packages").glob("*.mill"))
        assert [file.stem for file in files] == [package.sha256]
        maps = [Path(f"/proc/{pid}/maps").read_text() for pid in children(replica.process.pid)]
        assert all(package.sha256 in mapped for mapped in maps)


def test_a_port_in_use_is_refused_by_workers_too(tmp_path: Path, build: Any, launch: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {"MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path), "MILL_SERVING__WORKERS": "2"}
    with launch(tmp_path, store=False, **variables) as replica:
        port = str(replica.http.base_url.port)
        other = {**os.environ, **variables, "MILL_SERVING__CACHE_DIR": str(tmp_path / "other")}
        command = [sys.executable, "-m", "mill_serving", "serve", "--port", port]
        refused = subprocess.run(command, env=other, capture_output=True, timeout=30, check=False)
        assert refused.returncode != 0
        assert b"Address already in use" in refused.stderr
        assert replica.predict("demo").status_code == 200


def test_loading_and_unloading_are_orders_to_all_workers(control: Any, build: Any, start: Any, reach: Any) -> None:
    control.routes = [control.route(build("income"), WORKSPACE), control.route(build("other"), WORKSPACE)]
    key = {"x-api-key": control.api_key(WORKSPACE, scopes=("predict", "write"))}
    control.publish()
    with start(MILL_SERVING__WORKERS="2") as replica:
        url = str(replica.http.base_url).rstrip("/")
        reach(lambda: replica.metric("model_loads_total") == 4)
        order = f"{url}/v2/repository/models/income"
        assert httpx.post(f"{order}/unload", headers=key, timeout=30).status_code == 200
        assert replica.metric("model_cache_entries") == 2
        assert replica.metric("model_cache_evictions_total") == 2
        totals = httpx.get(f"{url}/stats", timeout=30).json()["global"]
        assert (totals["loaded_models"], totals["workers"]) == (2, 2)
        for _ in range(20):  # of whichever worker the kernel chooses
            index = httpx.post(f"{url}/v2/repository/index", json={}, headers=key, timeout=30).json()
            assert {one["name"]: one["state"] for one in index} == {"income": "UNAVAILABLE", "other": "READY"}
        assert httpx.post(f"{order}/load", headers=key, timeout=60).status_code == 200
        assert replica.metric("model_cache_entries") == 4
        assert replica.metric("model_loads_total") == 6

        before = children(replica.process.pid)
        os.kill(before[0], signal.SIGKILL)
        assert httpx.post(f"{order}/unload", headers=key, timeout=30).status_code == 200
        reach(lambda: len(set(children(replica.process.pid)) - {before[0]}) == 2)
