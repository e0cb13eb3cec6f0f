"""Limits hold for single rows too: a late one is not predicted, too many are refused at once, and a cold model has one load.

A load is held up by taking the lock that workers of one host share, so that what waits for it can be looked at.
"""

import asyncio
import fcntl
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from shutil import copy
from typing import Any
from uuid import UUID

import httpx
import pytest

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
WORKSPACE = UUID("019a0000-0000-7000-8000-000000000001")
LARGE = (1000, 1000)
"""Layers of a package of 8 MB."""
QUICK_MACHINE_SECONDS = 0.0025
REFUSED_WITHIN = 0.05
"""On a machine that answers an idle service's request in 2.5 ms; on a slower one, twenty times what it takes there."""


@contextmanager
def held(folder: Path, sha256: str) -> Generator[None]:
    """Nobody loads this package meanwhile."""
    path = folder / "serving" / "packages" / f".{sha256}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def cold(control: Any, build: Any, start: Any, reach: Any) -> Callable[..., Any]:
    """A service with one model that it knows and has unloaded: (replica, headers of a caller, sha256)."""

    @contextmanager
    def run(hidden: tuple[int, ...] = (), **variables: str) -> Generator[Any]:
        package = build("income", hidden=hidden)
        control.routes = [control.route(package, WORKSPACE)]
        key = control.api_key(WORKSPACE, scopes=("predict", "write"))
        control.publish()
        with start(**variables) as replica:
            reach(lambda: replica.predict("income", key).status_code == 200)
            headers = {"x-api-key": key}
            assert replica.http.post("/v2/repository/models/income/unload", headers=headers).status_code == 200
            yield replica, headers, package.sha256

    return run


@asynccontextmanager
async def client_of(replica: Any, headers: dict[str, str]) -> AsyncGenerator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=1000)
    async with httpx.AsyncClient(
        base_url=str(replica.http.base_url), headers=headers, limits=limits, timeout=60
    ) as client:
        yield client


def test_a_row_whose_deadline_has_passed_is_not_predicted(tmp_path: Path, build: Any, launch: Any, reach: Any) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    body = httpx.Request("POST", "http://x", json={"input_data": ROW}).content
    head = f"POST /predict/demo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    with launch(tmp_path, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(tmp_path)) as replica:
        assert replica.predict("demo").status_code == 200
        address = (replica.http.base_url.host, replica.http.base_url.port)
        for milliseconds, status in ((20, 503), (20_000, 200)):
            before = replica.metric('inference_rows_total{model="demo"}')
            with socket.create_connection(address, timeout=10) as line:
                line.sendall(f"{head}Expect: 100-continue\r\nX-Request-Deadline-Ms: {milliseconds}\r\n\r\n".encode())
                assert line.recv(1000).startswith(b"HTTP/1.1 100 ")
                sent = time.perf_counter()
                reach(lambda sent=sent: time.perf_counter() - sent > 0.05)
                line.sendall(body)
                answer = answer_of(line)
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            assert (b"deadline-missed" in answer) == (status == 503)
            assert replica.metric('inference_rows_total{model="demo"}') == before + (status == 200)


async def test_calls_that_wait_for_a_load_are_bounded_and_keep_their_deadlines(
    control: Any, cold: Any, until: Any
) -> None:
    variables = {"MILL_SERVING__WAITING_CALLS_PER_MODEL": "3", "MILL_SERVING__OPEN_REQUESTS": "5"}
    body = {"input_data": ROW}
    with cold(**variables) as (replica, headers, sha256):
        async with client_of(replica, headers) as client:
            with held(control.folder, sha256):
                waiting = [asyncio.create_task(client.post("/predict/income", json=body)) for _ in range(3)]
                await until(lambda: replica.metric("model_load_waiting") == 3)
                refused = await client.post("/predict/income", json=body)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
                assert refused.json()["type"].endswith("too-many-for-model")
                waiting.pop().cancel()
                await until(lambda: replica.metric("model_load_waiting") == 2)
                hurried = {"x-request-deadline-ms": "50"}
                late = await client.post("/predict/income/batch", json={"inputs": [ROW]}, headers=hurried)
                assert (late.status_code, late.json()["type"]) == (503, "urn:modelmill:problem:deadline-missed")
            answers = await asyncio.gather(*waiting)
        assert [answer.status_code for answer in answers] == [200, 200]
        assert replica.metric("model_load_waiting_refused_total") == 1
        assert replica.metric("model_loads_total") == 2


async def test_too_many_open_requests_are_refused_and_health_is_not(control: Any, cold: Any, until: Any) -> None:
    with cold(MILL_SERVING__OPEN_REQUESTS="4") as (replica, headers, sha256):
        async with client_of(replica, headers) as client:
            with held(control.folder, sha256):
                waiting = [
                    asyncio.create_task(client.post("/predict/income", json={"input_data": ROW})) for _ in range(4)
                ]
                await until(lambda: replica.metric("model_load_waiting") == 4)
                one = await client.post("/predict/income", json={"input_data": ROW})
                assert (one.status_code, one.json()["type"]) == (503, "urn:modelmill:problem:overloaded")
                tensors = await client.post("/v2/models/income/infer", json={})
                assert (tensors.status_code, list(tensors.json())) == (503, ["error"])
                assert (await client.get("/health/ready")).status_code == 200
            assert {(await answer).status_code for answer in waiting} == {200}
        assert replica.metric("open_requests_refused_total") == 2


def test_five_hundred_first_calls_are_one_load(control: Any, cold: Any, reach: Any) -> None:
    body = httpx.Request("POST", "http://x", json={"input_data": ROW}).content
    with cold(LARGE, MILL_SERVING__INLINE_MICROSECONDS="1000000") as (replica, headers, sha256), ExitStack() as lines:
        loads = replica.metric("model_loads_total")
        head = f"POST /predict/income HTTP/1.1\r\nHost: x\r\nX-API-Key: {headers['x-api-key']}\r\nConnection: close\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        address = (replica.http.base_url.host, replica.http.base_url.port)
        with held(control.folder, sha256):
            calls = [lines.enter_context(socket.create_connection(address, timeout=60)) for _ in range(500)]
            for call in calls:
                call.sendall(request)
            reach(lambda: replica.metric("model_load_waiting") == 500)
        assert Counter(answer_of(call)[9:12] for call in calls) == {b"200": 500}
        assert replica.metric("model_loads_total") == loads + 1
        assert replica.metric("model_load_failures_total") == 0


def test_refusals_under_overload_are_quick_and_say_when_to_come_back(
    tmp_path: Path, build: Any, launch: Any, reach: Any
) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {
        "MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path),
        "MILL_SERVING__THREADS": "1",
        "MILL_SERVING__WAITING_BLOCKS": "4",
        "MILL_SERVING__WAITING_BLOCKS_PER_MODEL": "4",
        "MILL_SERVING__INLINE_BLOCK_MICROSECONDS": "0",
    }
    heavy = httpx.Request("POST", "http://x", json={"inputs": [ROW] * 10_000}).content
    light = {"inputs": [ROW]}
    with launch(tmp_path, store=False, **variables) as replica:
        idle = statistics.median(timed(replica, light)[1] for _ in range(30))
        bound = REFUSED_WITHIN * max(1.0, idle / QUICK_MACHINE_SECONDS)
        stop = threading.Event()
        floods = [threading.Thread(target=flood, args=(replica.http.base_url, heavy, stop)) for _ in range(6)]
        for one in floods:
            one.start()
        refused: list[tuple[httpx.Response, float]] = []

        def enough() -> bool:
            answer, took = timed(replica, light)
            if answer.status_code in {429, 503}:
                refused.append((answer, took))
            return len(refused) >= 40

        try:
            reach(enough)
        finally:
            stop.set()
            for one in floods:
                one.join()
        assert all(int(answer.headers["retry-after"]) >= 1 for answer, _ in refused)
        times = sorted(took for _, took in refused)
        assert times[len(times) * 9 // 10] < bound, (idle, times[-10:])


def answer_of(line: socket.socket) -> bytes:
    """Until the server closes."""
    return b"".join(iter(lambda: line.recv(65536), b""))


def timed(replica: Any, body: dict[str, Any]) -> tuple[httpx.Response, float]:
    begun = time.perf_counter()
    answer = replica.http.post("/predict/demo/batch", json=body)
    return answer, time.perf_counter() - begun


def flood(url: httpx.URL, content: bytes, stop: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        while not stop.is_set():
            client.post("/predict/demo/batch", content=content)
