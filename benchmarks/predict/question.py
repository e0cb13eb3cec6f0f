"""How fast is a prediction of a deployed model over HTTP, against a no-op on the same server?"""

import csv
import statistics
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from mill_local.ports import free_port

from benchmarks.common.answer import Answer
from benchmarks.common.bench import Bench
from benchmarks.common.load import Target, drive, get, post, serving_noop, warm_up
from benchmarks.common.tables import CENSUS, census
from benchmarks.train.models import TARGET, XGBOOST

ROUNDS = 3
SECONDS = 2.0
CONNECTIONS = (1, 16, 64)
BATCH = 1_000
WAIT_SECONDS = 120.0
FIGURES = ("rps", "p50_ms", "p99_ms", "cpu_us")
NOOP, HEALTH = "no-op", "GET /health/live"

Row = dict[str, object]


def predict(bench: Bench) -> Answer:
    model = deployed(bench)
    key = bench.mill.auth.create_key("benchmark").key
    assert key is not None
    port = free_port()
    noop = bench.closing.enter_context(serving_noop(port))
    targets = targets_of(bench, model, key, (port, noop))
    for target in targets:
        warm_up(target)
    rounds: list[dict[str, Any]] = []
    for connections in (1, 4) if bench.quick else CONNECTIONS:
        for number in range(1 if bench.quick else ROUNDS):
            bench.say(f"predict: {connections} connections, round {number + 1}")
            for target in targets:
                figures = drive(target, connections, 0.3 if bench.quick else SECONDS)
                rounds.append({"case": target.name, "connections": connections, **figures})
    return answer([target.name for target in targets], rounds)


def deployed(bench: Bench) -> str:
    """The name of a freshly trained and deployed model."""
    table = census(bench.folder, 3_000) if bench.quick else CENSUS
    dataset = bench.mill.datasets.upload(table, project_id=bench.project.id, name="census-predict")
    wanted = XGBOOST.smaller() if bench.quick else XGBOOST
    asked = bench.mill.models.train(
        "census-deployed",
        project_id=bench.project.id,
        dataset_id=dataset.id,
        framework=wanted.framework,
        algorithm=wanted.algorithm,
        target=TARGET,
        parameters=wanted.parameters,
    )
    model = bench.mill.models.wait(asked, timeout=WAIT_SECONDS)
    bench.mill.models.deploy(model.id)
    bench.mill.models.wait_deployed(model.id, timeout=WAIT_SECONDS)
    return model.name


def targets_of(bench: Bench, model: str, key: str, noop: tuple[int, int]) -> list[Target]:
    """`noop` is its port and process id."""
    rows = census_rows(BATCH)
    one = {"input_data": rows[0], "return_probabilities": True, "use_cache": False}
    headers = {"x-api-key": key}
    port = urlsplit(bench.stack.serving_url).port
    assert port is not None
    pid = bench.pid("ml-service")
    return [
        Target(NOOP, *noop, post("/", one, headers)),
        Target(HEALTH, port, pid, get("/health/live")),
        Target("one row", port, pid, post(f"/predict/{model}", one, headers)),
        Target(f"{BATCH:,} rows", port, pid, post(f"/predict/{model}/batch", {"inputs": rows}, headers)),
    ]


def census_rows(count: int) -> list[Row]:
    """Rows as a client would send them: numbers as numbers, an empty cell as null, no target."""
    with CENSUS.open(newline="") as source:
        return [
            {name: _value(cell) for name, cell in row.items() if name != TARGET}
            for row in islice(csv.DictReader(source), count)
        ]


def _value(cell: str) -> object:
    return None if not cell else int(cell) if cell.isdigit() else cell


def rows_of(names: list[str], rounds: list[dict[str, Any]]) -> Iterator[list[str]]:
    for connections in sorted({one["connections"] for one in rounds}):
        found = {
            name: [one for one in rounds if one["case"] == name and one["connections"] == connections] for name in names
        }
        speed = {name: statistics.median(one["rps"] for one in taken) for name, taken in found.items()}
        for name, taken in found.items():
            rps, p50, p99, cpu = (statistics.median(one[figure] for one in taken) for figure in FIGURES)
            yield [
                f"{name}, {connections} connection{'s' if connections > 1 else ''}",
                f"{rps:,.0f}",
                f"{p50:.2f}",
                f"{p99:.2f}",
                f"{rps / speed[NOOP]:.3f}",
                f"{rps / speed[HEALTH]:.3f}",
                f"{cpu:,.0f}",
            ]


def answer(names: list[str], rounds: list[dict[str, Any]]) -> Answer:
    many = max(one["rps"] for one in rounds if one["case"] == names[-1]) * BATCH
    errors = sum(int(one["errors"]) for one in rounds)
    return Answer(
        title="Prediction of a deployed XGBoost model (300 trees, 14 features) over HTTP, API key checked",
        columns=["", "req/s", "p50, ms", "p99, ms", "of the no-op", "of the health check", "CPU µs"],
        rows=list(rows_of(names, rounds)),
        notes=[
            f"Medians of interleaved rounds; {errors} errors. The load generator shares the machine with the server. "
            f"Batches of {BATCH:,} come to {many:,.0f} rows/s in the best round."
        ],
        broken=(f"{errors} predictions failed",) if errors else (),
        rounds=rounds,
    )
