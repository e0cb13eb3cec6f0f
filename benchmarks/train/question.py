"""What does the platform add to a training, against the bare library call in the same run?"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelmill import Dataset, JobEvent

from benchmarks.common.answer import Answer
from benchmarks.common.bench import Bench
from benchmarks.common.processes import in_a_child
from benchmarks.common.tables import CENSUS, census
from benchmarks.train.models import DEMO, TARGET, Trained

ROUNDS = 3
TRAINING_SECONDS = 120.0
SAME = 1e-6
"""How far two ROC AUC of the same model may differ: threads may sum in another order."""


def train(bench: Bench) -> Answer:
    models = [model.smaller() for model in (DEMO[0], DEMO[2])] if bench.quick else list(DEMO)
    dataset, parquet = uploaded(bench)
    rounds: list[dict[str, Any]] = []
    for number in range(1 if bench.quick else ROUNDS):
        for model in models:
            bench.say(f"train: {model.name}, round {number + 1}")
            task = {"file": str(parquet), "recipe": model.recipe().model_dump(mode="json")}
            bare = in_a_child("benchmarks.train.child", task, TRAINING_SECONDS)
            rounds.append({"model": model.name, "case": "bare", **bare})
            rounds.append({"model": model.name, "case": "platform", **on_the_platform(bench, dataset, model)})
    return answer(models, rounds)


def uploaded(bench: Bench) -> tuple[Dataset, Path]:
    """The census table on the platform, profiled, and its canonical Parquet."""
    table = census(bench.folder, 3_000) if bench.quick else CENSUS
    sent = bench.mill.datasets.upload(table, project_id=bench.project.id, name="census")
    dataset = bench.mill.datasets.wait(sent, timeout=TRAINING_SECONDS)
    return dataset, bench.mill.datasets.download(dataset.id, bench.folder / "census.parquet", format="parquet")


def on_the_platform(bench: Bench, dataset: Dataset, model: Trained) -> dict[str, Any]:
    """From the request until the client knows; `stages` are the seconds at which it heard of each."""
    stages: dict[str, float] = {}
    begun = time.perf_counter()

    def listen(event: JobEvent) -> None:
        name = event.data.get("stage") or event.data.get("state")
        if isinstance(name, str):
            stages.setdefault(name, time.perf_counter() - begun)

    asked = bench.mill.models.train(
        model.name,
        project_id=bench.project.id,
        dataset_id=dataset.id,
        framework=model.framework,
        algorithm=model.algorithm,
        target=TARGET,
        parameters=model.parameters,
    )
    trained = bench.mill.models.wait(asked, timeout=TRAINING_SECONDS, on_event=listen)
    seconds = time.perf_counter() - begun
    quality = (trained.metrics or {})["roc_auc"]
    assert asked.job_id is not None
    job = bench.mill.jobs.get(asked.job_id)
    return {
        "seconds": seconds,
        "fit_seconds": trained.fit_seconds,
        "roc_auc": quality,
        "stages": stages,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def answer(models: Sequence[Trained], rounds: list[dict[str, Any]]) -> Answer:
    columns = ["asked → trained, s", "trainer's fit, s", "outside it, s", "bare fit, s", "bare script, s"]
    broken = tuple(line for model in models if (line := difference(model.name, rounds)) is not None)
    return Answer(
        title="Training on the census table through the platform against the bare library",
        columns=["", *columns, "overhead, s", "overhead", "of the script"],
        rows=[row_of(model.name, rounds) for model in models],
        notes=[
            f"Medians of {len(rounds) // 2 // len(models)} interleaved rounds; same matrix, parameters, seed and threads. "
            "The bare script imports the library, reads Parquet, encodes, fits and measures; the platform also evaluates, "
            "ranks features, packs, replays golden rows and stores.",
            *(broken or ["ROC AUC is the same on both sides in every round."]),
        ],
        broken=broken,
        rounds=rounds,
    )


def row_of(name: str, rounds: list[dict[str, Any]]) -> list[str]:
    asked, fit = median(name, "platform", "seconds", rounds), median(name, "platform", "fit_seconds", rounds)
    alone, script = median(name, "bare", "fit_seconds", rounds), median(name, "bare", "process_seconds", rounds)
    seconds = [f"{value:.2f}" for value in (asked, fit, asked - fit, alone, script, asked - alone)]
    return [name, *seconds, f"{100 * (asked - alone) / alone:.0f} %", f"{asked / script:.2f}"]


def median(name: str, case: str, figure: str, rounds: list[dict[str, Any]]) -> float:
    return statistics.median(one[figure] for one in rounds if one["model"] == name and one["case"] == case)


def difference(name: str, rounds: list[dict[str, Any]]) -> str | None:
    """What tells the two sides' models apart, if anything does."""
    found = [one["roc_auc"] for one in rounds if one["model"] == name]
    if max(found) - min(found) <= SAME:
        return None
    return f"{name}: ROC AUC {min(found):.6f} to {max(found):.6f}, so the two sides trained different models"
