"""The other clients of the Open Inference Protocol: kserve, `mlserver infer`, pydantic-open-inference.

kserve and mlserver pin versions of their own, so each runs in an environment that uv makes for it once and keeps in its cache.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic_open_inference import InputsBaseModel, OutputsBaseModel, RemoteModel

KSERVE = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def main(url):
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=1)) as client:
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, "plain")
        assert not await client.is_model_ready(url, "nothing")
        found = []
        for binary in (False, True):
            inputs = []
            for name, kind, values in (("age", "FP64", [30.0, 41.5]), ("children", "INT64", [1, 2])):
                tensor = InferInput(name, [2], kind)
                tensor.set_data_from_numpy(np.array(values), binary_data=binary)
                inputs.append(tensor)
            answer = await client.infer(url, InferRequest(model_name="plain", request_id="k", infer_inputs=inputs), "plain")
            assert answer.id == "k"
            found.append({output.name: np.array(output.as_numpy()).tolist() for output in answer.outputs})
        print(json.dumps(found))

asyncio.run(main(sys.argv[1]))
"""
ROWS = [{"age": 30.0, "children": 1}, {"age": 41.5, "children": 2}]


def in_its_own_environment(packages: list[str], arguments: list[str], folder: Path) -> str:
    uv = shutil.which("uv")
    assert uv, "uv makes the clients' environments; see the README"
    wanted = [part for package in packages for part in ("--with", package)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("VIRTUAL_ENV")}
    command = [uv, "run", "--no-project", "--isolated", "--quiet", "--python", sys.executable, *wanted, *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def expected(demo: Any) -> list[dict[str, Any]]:
    return demo.replica.http.post("/predict/plain/batch", json={"inputs": ROWS}).json()["predictions"]


@pytest.mark.timeout(300)
def test_kserve_infers_with_json_and_with_bytes(demo: Any, tmp_path: Path) -> None:
    printed = in_its_own_environment(["kserve==0.21.0"], ["python", "-W", "ignore", "-c", KSERVE, demo.url], tmp_path)
    found = json.loads(printed.splitlines()[-1])
    probabilities = [list(row["probabilities"].values()) for row in expected(demo)]
    for outputs in found:
        assert outputs["predict"] == [row["prediction"] for row in expected(demo)]
        assert outputs["probabilities"] == probabilities


@pytest.mark.timeout(300)
@pytest.mark.parametrize("binary", [False, True])
def test_mlserver_infers_a_file_of_requests(demo: Any, tmp_path: Path, *, binary: bool) -> None:
    requests = [
        {
            "inputs": [
                {"name": "age", "shape": [1], "datatype": "FP64", "data": [row["age"]]},
                {"name": "children", "shape": [1], "datatype": "INT64", "data": [row["children"]]},
            ]
        }
        for row in ROWS
    ]
    given, answered = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    given.write_text("\n".join(json.dumps(request) for request in requests))
    arguments = ["mlserver", "infer", "-u", demo.url.removeprefix("http://"), "-m", "plain", "-w", "1"]
    arguments += ["-i", str(given), "-o", str(answered), *(["-b"] if binary else [])]
    in_its_own_environment(["mlserver==1.7.1"], arguments, tmp_path)
    answers = [json.loads(line) for line in answered.read_text().splitlines()]
    by_index = sorted(answers, key=lambda answer: answer["parameters"]["batch_index"])
    assert [answer["outputs"][0]["data"] for answer in by_index] == [[row["prediction"]] for row in expected(demo)]


class PlainInput(InputsBaseModel):
    age: list[float]
    children: list[int]


class PlainOutput(OutputsBaseModel):
    predict: list[str]
    probabilities: list[tuple[float, float, float]]


def test_pydantic_models_are_inputs_and_outputs(demo: Any) -> None:
    model = RemoteModel(
        model_name="plain", model_version="3", inputs_model=PlainInput, outputs_model=PlainOutput, server_url=demo.url
    )
    answer = model.infer(PlainInput(age=[30.0, 41.5], children=[1, 2]))
    assert answer.predict == [row["prediction"] for row in expected(demo)]
    assert answer.probabilities == [tuple(row["probabilities"].values()) for row in expected(demo)]
