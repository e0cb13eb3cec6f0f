"""Two replicas behind a real nginx, restarted one after the other under load: no request fails."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
RESTARTS = int(os.environ.get("ROLLING_RESTARTS", "5"))
CONNECTIONS = 16
CONFIG = """
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_connect_timeout 1s;
    proxy_next_upstream error timeout;
    upstream replicas {{
        zone replicas 64k;
        least_conn;
        {servers}
        keepalive 64;
        keepalive_timeout 60s;
    }}
    server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; location / {{ proxy_pass http://replicas; }} }}
}}
"""

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@contextmanager
def nginx(folder: Path, ports: list[int], port: int) -> Generator[str]:
    """The options of our edge that matter here: keep-alive upstreams, POST never repeated once sent."""
    folder.mkdir()
    servers = "\n".join(f"server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;" for one in ports)
    (folder / "nginx.conf").write_text(CONFIG.format(servers=servers, port=port))
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", "nginx.conf", "-g", "daemon off;"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)


async def load(url: str, stop: asyncio.Event, statuses: Counter[object]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        while not stop.is_set():
            try:
                statuses[(await client.post("/predict/demo", json={"input_data": ROW})).status_code] += 1
            except httpx.TransportError as error:
                statuses[type(error).__name__] += 1


@pytest.mark.slow
async def test_no_request_fails_while_replicas_are_restarted(
    tmp_path: Path, build: Any, launch: Any, until: Any, free_port: Any
) -> None:
    shutil.copy(build("demo").path, tmp_path / "demo.mill")
    ports = [free_port(), free_port()]

    def replica(number: int) -> Any:
        folder = tmp_path / f"replica-{number}"
        folder.mkdir(exist_ok=True)
        shared = {"MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path)}
        return launch(folder, store=False, port=ports[number], **shared)

    running = [replica(0), replica(1)]
    handles = [one.__enter__() for one in running]
    statuses: Counter[object] = Counter()
    stop = asyncio.Event()
    try:
        with nginx(tmp_path / "nginx", ports, free_port()) as url:
            await until(lambda: answers(url))
            clients = [asyncio.create_task(load(url, stop, statuses)) for _ in range(CONNECTIONS)]
            for round_ in range(RESTARTS):
                number = round_ % 2
                assert await asyncio.to_thread(handles[number].stop) == 0
                running[number].__exit__(None, None, None)
                running[number] = replica(number)
                handles[number] = await asyncio.to_thread(running[number].__enter__)
                await until(partial(gets_traffic, handles[number]))
            stop.set()
            await asyncio.gather(*clients)
    finally:
        for one in running:
            one.__exit__(None, None, None)
    assert set(statuses) == {200}, statuses


def gets_traffic(replica: Any) -> bool:
    """The proxy has noticed that it is back; until then stopping the other one would leave none."""
    return replica.http.get("/stats").json()["global"]["total_requests"] > 100


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
