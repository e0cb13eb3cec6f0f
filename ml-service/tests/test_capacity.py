"""What happens under many calls at once and with little memory, on a running service."""

import asyncio
from pathlib import Path
from shutil import copy
from typing import Any

import httpx

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}


def test_packages_are_evicted_under_the_byte_budget_and_come_back(tmp_path: Path, build: Any, launch: Any) -> None:
    names = [f"model-{number}" for number in range(80)]
    for name in names:
        copy(build(name).path, tmp_path / f"{name}.mill")
    budget = 2**20
    variables = {"MILL_SERVING__SHARED_MODELS_DIR": str(tmp_path), "MILL_SERVING__CACHE_BYTES": str(budget)}
    with launch(tmp_path, store=False, **variables) as replica:
        for name in [*names, *names[:5]]:
            answer = replica.http.post(f"/predict/{name}", json={"input_data": ROW})
            assert answer.status_code == 200
            assert answer.json()["metadata"]["model_name"] == name
        assert 0 < replica.metric("model_cache_bytes") <= budget
        assert replica.metric("model_cache_evictions_total") > 0
        assert replica.metric("model_cache_entries") < len(names)


async def test_beyond_the_lane_blocks_are_refused_and_single_rows_go_on(
    tmp_path: Path, build: Any, launch: Any
) -> None:
    copy(build("demo").path, tmp_path / "demo.mill")
    variables = {"MILL_SERVING__THREADS": "1", "MILL_SERVING__WAITING_BLOCKS": "1"}
    with launch(tmp_path, store=False, MILL_SERVING__SHARED_MODELS_DIR=str(tmp_path), **variables) as replica:
        async with httpx.AsyncClient(base_url=str(replica.http.base_url), timeout=30) as client:
            body = {"inputs": [ROW] * 5000}
            blocks = [asyncio.create_task(client.post("/predict/demo/batch", json=body)) for _ in range(12)]
            single = await client.post("/predict/demo", json={"input_data": ROW})
            answers = await asyncio.gather(*blocks)
        assert single.status_code == 200
        refused = [answer for answer in answers if answer.status_code == 503]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert all(answer.json()["type"].endswith("overloaded") for answer in refused)
        assert replica.metric("inference_lane_refused_total") == len(refused)
