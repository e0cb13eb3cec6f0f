"""From a fitted estimator to `model.mill`: the engine that repeats the library, golden rows, measured cost, the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from mill_contracts.tables import TableWarning
from mill_contracts.tasks import TrainTask
from mill_contracts.training import EngineCheck, FeatureImportance, TrainingReport
from mill_pack import (
    Encoder,
    EnginePayload,
    ManifestDraft,
    Postprocessing,
    choose_engine,
    golden_rows,
    measure_cost,
    open_package,
    reference_profile,
    synthetic_golden_rows,
    write_package,
)
from mill_pack.manifest import JsonValue
from numpy.typing import NDArray

from mill_trainer.train.decisions import Classes
from mill_trainer.train.edges import edge_columns
from mill_trainer.train.estimators import Estimator, Family
from mill_trainer.train.evaluation import Evaluation, Evaluator
from mill_trainer.train.fitting import forget_threads
from mill_trainer.train.table import Table
from mill_trainer.train.target import Target

Floats = NDArray[np.float64]

_MOST_COMPARED = 20_000
"""Hold-out rows on which the engine is compared with the library; evenly spaced where there are more."""


@dataclass(frozen=True)
class Trained:
    """All a training found out. `training` and `holdout` are the two parts of the table; `evaluation` is of the hold-out."""

    family: Family
    estimator: Estimator
    encoder: Encoder
    target: Target
    classes: Classes | None
    training: Table
    holdout: Table
    evaluator: Evaluator
    evaluation: Evaluation
    importance: tuple[FeatureImportance, ...]
    importance_method: str | None
    cross_validation: dict[str, tuple[float, ...]]
    fit_seconds: float
    warnings: tuple[TableWarning, ...]
    lineage: Mapping[str, Any]


def compare(trained: Trained) -> tuple[EnginePayload, EngineCheck]:
    """The first engine that repeats the library on the hold-out and on edge rows. Raises `EngineRefused`."""
    count = trained.holdout.rows
    rows = np.unique(np.linspace(0, count - 1, min(count, _MOST_COMPARED)).round().astype(np.intp))
    encoder = trained.encoder
    usual = encoder.transform(trained.holdout.take(rows).columns)
    edges = encoder.transform(edge_columns(trained.holdout, encoder))
    return choose_engine(
        trained.family.framework,
        trained.family.name,
        trained.estimator,
        encoder.width,
        trained.target.classes,
        lambda matrix: trained.evaluator.outputs(trained.estimator, matrix),
        np.concatenate([usual, edges]),
    )


def pack(task: TrainTask, trained: Trained, path: Path) -> TrainingReport:
    """Write the package and say all there is to say of it. The file opens, or nothing is written."""
    forget_threads(trained.family, trained.estimator)
    payload, check = compare(trained)
    draft = _draft(task, trained, check)
    parts = _Parts(encoder=trained.encoder, payload=payload, golden_rows=_golden_rows(task, trained))
    cost = measure_cost(draft=draft, **parts)
    info = write_package(path, draft=draft.model_copy(update={"cost": cost}), **parts)
    open_package(path)
    return TrainingReport(
        recipe=task.recipe,
        task=task.recipe.task.value,
        classes=trained.target.classes,
        features=tuple(spec.name for spec in trained.encoder.signature_features),
        training_rows=trained.training.rows,
        holdout_rows=trained.holdout.rows,
        metrics=trained.evaluation.metrics,
        cross_validation=trained.cross_validation,
        curves=trained.evaluation.curves,
        confusion=trained.evaluation.confusion,
        importance=trained.importance,
        importance_method=trained.importance_method,
        fit_seconds=trained.fit_seconds,
        cost=cost.model_copy(update={"package_bytes": info.size}),
        engine_check=check,
        package_sha256=info.sha256,
        lineage=draft.lineage,
        warnings=trained.warnings,
    )


class _Parts(TypedDict):
    encoder: Encoder
    payload: EnginePayload
    golden_rows: Sequence[Mapping[str, JsonValue]]


def _golden_rows(task: TrainTask, trained: Trained) -> Sequence[Mapping[str, JsonValue]]:
    if task.sensitive:
        return synthetic_golden_rows(trained.encoder.signature_features, task.recipe.seed)
    return golden_rows(trained.encoder, trained.holdout.columns)


def _draft(task: TrainTask, trained: Trained, check: EngineCheck) -> ManifestDraft:
    recipe = task.recipe
    lineage = {
        "dataset_version_id": task.dataset_version_id,
        "dataset_sha256": task.dataset_sha256,
        "recipe": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "training_rows": trained.training.rows,
        "holdout_rows": trained.holdout.rows,
        "golden_rows": "synthetic" if task.sensitive else "hold-out",
        **trained.lineage,
    }
    return ManifestDraft(
        model_id=task.model_id,
        model_version_id=task.model_version_id,
        name=task.model_name,
        version=task.model_version,
        task=recipe.task,
        target=recipe.target,
        classes=trained.target.classes,
        postprocessing=Postprocessing.of(recipe),
        engine_check=check,
        metrics=trained.evaluation.metrics,
        curves=trained.evaluation.curves,
        reference=reference_profile(trained.encoder, trained.training.columns),
        lineage=lineage,
    )
