"""From an uploaded file to a package: read in the sandbox, written again from our own arrays, tried in the sandbox once more.

Nothing of the file is kept or served. What comes out of the sandbox is checked as strictly as what went in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

from mill_contracts.adoption import AdoptionReport
from mill_contracts.recipe import Task
from mill_contracts.tables import TableWarning
from mill_contracts.tasks import AdoptTask
from mill_contracts.training import EngineCheck
from mill_pack import (
    UPLOADED,
    Encoder,
    EnginePayload,
    GoldenRowsDiffer,
    InvalidPackage,
    ManifestDraft,
    measure_cost,
    open_package,
    write_package,
)
from mill_pack.manifest import JsonValue
from mill_pack.outside import CodeInModelFile, FoundModel, ModelFileRejected, classes_for, encoder_for, golden_for
from pydantic import ValidationError

from mill_trainer.adopt.sandbox.client import Reply, Sandbox
from mill_trainer.reporting import Report

MODEL_FILE = "model.mill"
REPORT_FILE = "report.json"
_VALIDATED, _WRITTEN = 0.7, 0.9
_NOT_COMPARED = TableWarning(
    code="not-compared-with-library",
    detail="The library this format belongs to is not part of Modelmill; the rewritten model was tried, but not compared with it.",
)
_NAMES_MADE_UP = TableWarning(
    code="feature-names-made-up",
    detail="Neither the file nor the request names the features: they are f0, f1, … in the order of the file's columns.",
)


def adopt(task: AdoptTask, report: Report) -> None:
    """Write `model.mill` and `report.json` (an `AdoptionReport`) into `task.out_dir`.

    Raises `ModelFileRejected`, `CodeInModelFile`, `InvalidInput` for sample rows that do not fit; nothing is written then.
    """
    report.stage("validating")
    memory = task.limits.memory_bytes
    with Sandbox(task.framework, memory_bytes=memory, seconds=task.seconds) as sandbox:
        found, payload = _read(sandbox.ask("read", task.raw_file.read_bytes()))
        report.progress(_VALIDATED)
        report.log(f"{found.format.value}: {found.algorithm}, {found.width} columns, engine {found.engine}")
        report.stage("rewriting")
        path = task.out_dir / MODEL_FILE
        made = _rewritten(task, found, payload, path)
        report.progress(_WRITTEN)
        report.stage("trying")
        _try(sandbox, path)
    (task.out_dir / REPORT_FILE).write_text(made.model_dump_json(), "utf-8")
    report.progress(1.0)


def _rewritten(task: AdoptTask, found: FoundModel, payload: EnginePayload, path: Path) -> AdoptionReport:
    """The package, where what came out of the sandbox makes one."""
    try:
        return _package(task, found, payload, path)
    except (InvalidPackage, GoldenRowsDiffer, ValidationError) as error:
        path.unlink(missing_ok=True)
        raise ModelFileRejected(f"The model does not hold together: {str(error)[:300]}") from error


def _read(reply: Reply) -> tuple[FoundModel, EnginePayload]:
    """What the sandbox found, checked. Raises the refusal, or names how the sandbox ended."""
    if reply.said is None:
        raise ModelFileRejected(f"The file could not be read: {reply.reason}")
    _raise_refusal(reply.said)
    try:
        found = FoundModel.model_validate(reply.said.get("found"))
    except ValidationError as error:
        raise ModelFileRejected("The file could not be read: the sandbox gave an answer that makes no sense") from error
    return found, EnginePayload(found.engine, {str(reply.said.get("file"))[:64]: reply.body})


def _raise_refusal(said: Mapping[str, Any]) -> None:
    refused: Any = said.get("refused")
    if isinstance(refused, dict):
        words: dict[str, Any] = refused  # pyright: ignore[reportUnknownVariableType] - JSON objects have string keys
        kind = CodeInModelFile if words.get("slug") == CodeInModelFile.slug else ModelFileRejected
        raise kind(str(words.get("detail"))[:1000])


def _try(sandbox: Sandbox, path: Path) -> None:
    """Load the written package and predict once, in a process of its own."""
    reply = sandbox.ask("try", path.read_bytes())
    problem = reply.reason
    if reply.said is not None and reply.said.get("accepted") is not True:
        problem = str(reply.said.get("refused", "it gave no sensible answer"))
    if problem is not None:
        path.unlink(missing_ok=True)
        raise ModelFileRejected(f"The rewritten model does not work: {problem[:500]}")


@dataclass(frozen=True)
class _Words:
    """What is said of the model, beside its arrays."""

    encoder: Encoder
    classes: tuple[str, ...]
    golden: Sequence[Mapping[str, JsonValue]]
    check: EngineCheck
    warnings: tuple[TableWarning, ...]


class _Parts(TypedDict):
    encoder: Encoder
    payload: EnginePayload
    golden_rows: Sequence[Mapping[str, JsonValue]]


def _words(task: AdoptTask, found: FoundModel) -> _Words:
    if found.is_classifier != (task.task is Task.CLASSIFICATION):
        kind = "classification" if found.is_classifier else "regression"
        raise ModelFileRejected(f"The file holds a {kind}, the model was announced as a {task.task.value}")
    encoder = encoder_for(found, task.signature, task.sample_rows)
    named = bool(found.names or task.signature.features or task.sample_rows)
    warnings = () if found.check else (_NOT_COMPARED,)
    nothing = EngineCheck(
        engine=found.engine, rows_compared=0, largest_difference=0.0, classes_differing=0, tolerance=0.0
    )
    return _Words(
        encoder=encoder,
        classes=classes_for(found, task.signature),
        golden=golden_for(found, encoder, task.sample_rows),
        check=found.check or nothing,
        warnings=warnings if named else (*warnings, _NAMES_MADE_UP),
    )


def _package(task: AdoptTask, found: FoundModel, payload: EnginePayload, path: Path) -> AdoptionReport:
    words = _words(task, found)
    parts = _Parts(encoder=words.encoder, payload=payload, golden_rows=words.golden)
    draft = _draft(task, found, words)
    cost = measure_cost(draft=draft, **parts)
    info = write_package(path, draft=draft.model_copy(update={"cost": cost}), **parts)
    open_package(path)
    return AdoptionReport(
        task=task.task.value,
        format=found.format,
        algorithm=found.algorithm,
        classes=words.classes,
        features=tuple(feature.name for feature in words.encoder.signature_features),
        target=task.signature.target,
        cost=cost.model_copy(update={"package_bytes": info.size}),
        engine_check=words.check,
        package_sha256=info.sha256,
        lineage=draft.lineage,
        warnings=words.warnings,
    )


def _draft(task: AdoptTask, found: FoundModel, words: _Words) -> ManifestDraft:
    libraries = ("mill-trainer", "mill-pack", "numpy", "scikit-learn", "xgboost-cpu", "lightgbm", "skops")
    return ManifestDraft(
        model_id=task.model_id,
        model_version_id=task.model_version_id,
        name=task.model_name,
        version=task.model_version,
        task=task.task,
        target=task.signature.target,
        classes=words.classes,
        engine_check=words.check,
        lineage={
            "origin": UPLOADED,
            "format": found.format.value,
            "algorithm": found.algorithm,
            "file_name": task.file_name,
            "file_sha256": task.file_sha256,
            "golden_rows": "samples" if task.sample_rows else "made up",
            "libraries": {name: version(name) for name in libraries},
        },
    )
